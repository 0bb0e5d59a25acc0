"""The intake of the port."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from proctor.core.address import SQLITE, read_address
from proctor.ledger.bulk import Bulk
from proctor.ledger.direct.database import Connection, Database
from proctor.ledger.direct.postgres import Postgres
from proctor.ledger.direct.sqlite import Sqlite
from proctor.ledger.schema import ASK, require
from proctor.ledger.time import Correct, SharedTime


class DirectIntake:
    """Implements `proctor.ports.intake.Intake` for the threads of one process.

    `url` as for `SqlLedger`, but with a place of its own; the schema has to be there (`ping`
    tells). Nothing is opened before the first use. One transaction runs at a time, on one
    connection that is kept; after an error the next one begins on a new connection. `correct` as
    for `SqlLedger`. Raises ValueError for a URL that names no database of ours.
    """

    def __init__(self, url: str, correct: Correct | None = None) -> None:
        address = read_address(url)
        self._database: Database = Sqlite(address) if address.kind == SQLITE else Postgres(address)
        self._time = SharedTime(correct) if correct and self._database.shared else None
        self._connection: Connection | None = None
        self._lock = threading.Lock()

    @contextmanager
    def transaction(self) -> Iterator[Bulk]:
        """A write transaction: commits at the end of the block, rolls back on an exception."""
        with self._lock, self._database.told():
            connection = self._begun()
            try:
                yield Bulk(connection)
                connection.commit()
            except BaseException:
                self._drop()  # which rolls back
                raise

    def ping(self) -> None:
        """Raises LedgerUnavailable unless the database answers and its schema is current."""
        with self._database.told():
            connection = self._database.connect()
            try:
                self._look_at_time(connection)
                found = connection.rows(ASK, ())
            finally:
                connection.close()
        require(str(found[0][0]) if found else None, self._database.place)

    def close(self) -> None:
        """Close the connection. The next use opens a new one."""
        with self._lock:
            self._drop()

    def _begun(self) -> Connection:
        if self._connection is not None and not self._alive(self._connection):
            self._drop()
        if self._connection is None:
            self._connection = self._database.connect()
            self._begin(self._connection)
        return self._connection

    def _alive(self, connection: Connection) -> bool:
        """Whether a transaction could begin on a connection that may have died meanwhile."""
        try:
            self._begin(connection)
        except self._database.errors:
            if connection.dead:
                return False
            raise
        return True

    def _begin(self, connection: Connection) -> None:
        self._look_at_time(connection)
        connection.begin()

    def _look_at_time(self, connection: Connection) -> None:
        if self._time is not None:
            self._time.look(lambda: _asking(connection))

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(*self._database.errors):
                connection.close()


@contextmanager
def _asking(connection: Connection) -> Iterator[Callable[[str], float]]:
    yield lambda statement: float(connection.rows(statement, ())[0][0])
