"""PostgreSQL through psycopg."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg

from proctor.core.address import Address
from proctor.ledger.drivers import BUSY_TIMEOUT, postgres_arguments
from proctor.ledger.refusals import refusal


class Postgres:
    """A server; see `direct.database.Database`."""

    shared = True
    errors: tuple[type[Exception], ...] = (psycopg.Error,)

    def __init__(self, address: Address) -> None:
        self._address = address
        self.place = address.place

    def connect(self) -> PostgresConnection:
        """Open a connection."""
        given = self._address.arguments()
        arguments = {**given, **postgres_arguments(BUSY_TIMEOUT, given.get("options", ""))}
        # Transactions are begun by hand: psycopg itself would begin one for a look at the clock.
        return PostgresConnection(psycopg.connect(**arguments, autocommit=True))

    @contextmanager
    def told(self) -> Iterator[None]:
        """See `Database`."""
        try:
            yield
        except psycopg.Error as error:
            refused = refusal(error, self.place, self._address.password)
            if refused is None:
                raise
            raise refused from error


class PostgresConnection:
    """See `direct.database.Connection`."""

    postgres = True

    def __init__(self, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
        self._connection = connection

    @property
    def dead(self) -> bool:
        """The server hung up."""
        return self._connection.broken

    def begin(self) -> None:
        """Begin a transaction."""
        self._connection.execute("BEGIN ISOLATION LEVEL READ COMMITTED")

    def commit(self) -> None:
        """It is on the disk when this returns."""
        self._connection.execute("COMMIT")

    def rows(self, statement: str, bound: Sequence[Any]) -> Sequence[Sequence[Any]]:
        """See `Statements`."""
        return self._connection.execute(statement.encode(), bound).fetchall()

    def count(self, statement: str, bound: Sequence[Any]) -> int:
        """See `Statements`."""
        return self._connection.execute(statement.encode(), bound).rowcount

    def close(self) -> None:
        """Also rolls back."""
        self._connection.close()
