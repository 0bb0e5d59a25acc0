"""The intake: what the receiver needs of the ledger, and no more. Every `Ledger` is one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from proctor.core.event import Delivery, Event
from proctor.core.run import Step


class IntakeTransaction(Protocol):
    """Writes that are on record together, or not at all. See `ledger.Transaction`."""

    def add_deliveries(self, deliveries: Sequence[Delivery]) -> None: ...
    def add_events(self, events: Sequence[Event]) -> Mapping[str, str]: ...
    def add_steps(self, steps: Sequence[Step]) -> Sequence[Step]: ...


class Intake(Protocol):
    """The way in for deliveries."""

    def transaction(self) -> AbstractContextManager[IntakeTransaction]:
        """Commits at the end of the block, rolls back on an exception. Raises LedgerUnavailable,
        and ValueError for what the ledger refuses."""
        ...

    def ping(self) -> None:
        """Raises LedgerUnavailable unless the database answers and its schema is current."""
        ...
