"""SQLite through Python's own driver."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from proctor.ledger.drivers import BUSY_TIMEOUT, set_up_sqlite
from proctor.ledger.refusals import refusal

_SCHEME: Final = "sqlite:///"


class Sqlite:
    """A file; see `direct.database.Database`."""

    shared = False
    errors: tuple[type[Exception], ...] = (sqlite3.Error,)

    def __init__(self, url: str) -> None:
        if not url.startswith(_SCHEME) or url == _SCHEME or "?" in url:
            raise ValueError("the receiver writes to a file: give sqlite:///path")
        self.place = url
        self._path = url.removeprefix(_SCHEME)

    def connect(self) -> SqliteConnection:
        """Open the file."""
        # Used by one thread at a time: see the lock of the intake.
        connection = sqlite3.connect(self._path, timeout=BUSY_TIMEOUT, check_same_thread=False)
        try:
            set_up_sqlite(connection, BUSY_TIMEOUT)
        except BaseException:
            connection.close()
            raise
        return SqliteConnection(connection)

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
    dead = False

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def begin(self) -> None:
        """Take the file for writing."""
        self._connection.execute("BEGIN IMMEDIATE")

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
