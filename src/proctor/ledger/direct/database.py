"""What the intake asks of a driver."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol


class Connection(Protocol):
    """An open connection. Also `proctor.ledger.bulk.Statements`."""

    @property
    def postgres(self) -> bool: ...
    @property
    def dead(self) -> bool:
        """Whether it is of no use any more, whatever is tried."""
        ...

    def begin(self) -> None:
        """Begin to write."""
        ...

    def commit(self) -> None: ...
    def rows(self, statement: str, bound: Sequence[Any]) -> Sequence[Sequence[Any]]: ...
    def count(self, statement: str, bound: Sequence[Any]) -> int: ...
    def close(self) -> None:
        """Also rolls back."""
        ...


class Database(Protocol):
    """A database at its address."""

    shared: bool
    """Whether several hosts may use it."""
    place: str
    """The address for people, without credentials."""
    errors: tuple[type[Exception], ...]
    """What the driver raises."""

    def connect(self) -> Connection: ...
    def told(self) -> AbstractContextManager[None]:
        """Turns what the driver raises into LedgerUnavailable or ValueError."""
        ...
