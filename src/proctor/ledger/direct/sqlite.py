"""SQLite through Python's own driver."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from proctor.core.address import Address
from proctor.ledger.drivers import BUSY_TIMEOUT, set_up_sqlite
from proctor.ledger.refusals import refusal


class Sqlite:
    """A file; see `direct.database.Database`."""

    shared = False
    errors: tuple[type[Exception], ...] = (sqlite3.Error,)

    def __init__(self, address: Address) -> None:
        """Raises ValueError where the address names no file."""
        if address.database in (None, "", ":memory:"):
            raise ValueError("the receiver writes to a file: give sqlite:///path")
        self.place = address.place
        self._path = str(address.database)

    def connect(self) -> SqliteConnection:
        """Open the file."""
        # Used by one thread at a time: see the lock of the intake.
        connection = sqlite3.connect(self._path, timeout=BUSY_TIMEOUT, check_same_thread=False)
        try:
            set_up_sqlite(connection, BUSY_TIMEOUT)
        except BaseException:
            connection.close()
            raise
        return SqliteConnection(connection, self._path)

    @contextmanager
    def told(self) -> Iterator[None]:
        """See `Database`."""
        try:
            yield
        except sqlite3.Error as error:
            refused = refusal(error, self.place, None)
            if refused is None:
                raise
            raise refused from error


class SqliteConnection:
    """See `direct.database.Connection`."""

    postgres = False

    def __init__(self, connection: sqlite3.Connection, path: str) -> None:
        self._connection = connection
        self._path = path
        self._file = _identity(path)
        self.dead = False

    def begin(self) -> None:
        """Take the file for writing. Raises where another file has its name by now: what is written
        to this one would be lost."""
        self._connection.execute("BEGIN IMMEDIATE")
        if _identity(self._path) != self._file:
            self.dead = True
            raise sqlite3.OperationalError("the file was replaced")

    def commit(self) -> None:
        """It is on the disk when this returns."""
        self._connection.execute("COMMIT")

    def rows(self, statement: str, bound: Sequence[Any]) -> Sequence[Sequence[Any]]:
        """See `Statements`."""
        return self._connection.execute(statement, bound).fetchall()

    def count(self, statement: str, bound: Sequence[Any]) -> int:
        """See `Statements`."""
        if isinstance(bound, list):
            return self._connection.executemany(statement, bound).rowcount
        return self._connection.execute(statement, bound).rowcount

    def close(self) -> None:
        """Also rolls back."""
        self._connection.close()


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
