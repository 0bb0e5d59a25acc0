"""The ledger of the port, on SQLite or PostgreSQL."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import IntegrityError

from proctor.core.run import Step
from proctor.ledger import bodies, schema, steps
from proctor.ledger.engine import WRITES, make_engine, read_url
from proctor.ledger.errors import place, told
from proctor.ledger.mapping import to_value
from proctor.ledger.reads import SqlView
from proctor.ledger.reads.version import version
from proctor.ledger.time import Correct, SharedTime
from proctor.ledger.transaction import SqlTransaction
from proctor.ports.clock import Clock
from proctor.ports.ledger import Claim, Forgotten

_SNAPSHOT = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}


class SqlLedger:
    """Implements `Ledger` and `Archive` of `proctor.ports.ledger` for any number of threads and
    processes.

    `url` is `sqlite:///path`, `postgresql+psycopg://…`, or `sqlite://` for a private file that
    goes with this object (for tests: unlike SQLite's ":memory:" it keeps the whole contract, over
    threads and forks). Nothing is opened before the first use, and each process opens its own
    connections, so an instance may be carried over a fork. The schema is `migrate.upgrade`'s
    business; `ping` tells when it is not current.
    """

    def __init__(self, url: str, clock: Clock, correct: Correct | None = None) -> None:
        """`correct` is told the time of a database that several hosts share (see `SharedTime`):
        what sets `clock` right by it."""
        self._url = read_url(url)
        if self._url.get_backend_name() == "sqlite" and not _is_file(self._url.database):
            self._url = self._url.set(database=str(_private_file(self)))
        self._clock = clock
        self._time = SharedTime(correct) if correct else None
        # By process: what another process opened is never used, nor closed, here.
        self._engines: dict[int, Engine] = {}

    @property
    def url(self) -> str:
        """Where the ledger lives, with its password: not for people."""
        return self._url.render_as_string(hide_password=False)

    @contextmanager
    def transaction(self) -> Iterator[SqlTransaction]:
        """A write transaction: commits at the end of the block, rolls back on an exception."""
        with self._writing() as connection:
            yield SqlTransaction(connection, self._clock)

    @contextmanager
    def view(self) -> Iterator[SqlView]:
        """A read-only snapshot."""
        with told(self._url), self._engine().connect() as connection:
            if connection.dialect.name == "postgresql":
                connection = connection.execution_options(**_SNAPSHOT)
            with connection.begin() as transaction:
                yield SqlView(connection)
                transaction.rollback()

    def claim(self, step_id: str, worker: str, lease: float) -> Claim | None:
        """Claim a READY step that is due; None when it cannot be had."""
        with told(self._url):
            try:
                with self._begun() as connection:
                    return SqlTransaction(connection, self._clock).claim(step_id, worker, lease)
            except IntegrityError:  # PostgreSQL: a step of the same lock was quicker
                return None

    def renew(self, claim: Claim, lease: float) -> bool:
        """Extend the lease; False when the claim is stale (the work must stop)."""
        with self.transaction() as tx:
            return tx.renew(claim, lease)

    def expired(self, now: float) -> Sequence[Step]:
        """RUNNING steps whose lease has ended, longest ago first."""
        with self._reading() as connection:
            return tuple(to_value(Step, row) for row in connection.execute(steps.expired(now)))

    def reclaim(self, step: Step) -> bool:
        """Make an expired step READY unless it was renewed, ended or reclaimed since it was
        read."""
        with self.transaction() as tx:
            return tx.reclaim(step)

    def due(self, now: float, limit: int = 1000) -> Sequence[Step]:
        """READY steps that are due, oldest first; at most `limit` of each queue."""
        with self._reading() as connection:
            found = [
                to_value(Step, row)
                for queue in connection.execute(steps.queues_due(now)).scalars()
                for row in connection.execute(steps.due(now, queue, limit))
            ]
            return tuple(sorted(found, key=lambda step: (step.due_at, step.id)))

    def forget_bodies(self, before: float, after: int = 0) -> Forgotten:
        """Empty the bodies of the next old deliveries after the place `after`."""
        with self._reading() as connection:
            wanted, forgotten = bodies.find(connection, before, after)
        if wanted:
            with self._writing() as connection:
                bodies.empty(connection, wanted)
        return forgotten

    def ping(self) -> None:
        """Raises LedgerUnavailable unless the database answers and its schema is current."""
        with self._reading() as connection:
            found = version(connection)
        schema.require(found, place(self._url))

    def close(self) -> None:
        """Close this process's connections. The next use opens new ones."""
        engine = self._engines.pop(os.getpid(), None)
        if engine is not None:
            engine.dispose()

    def _engine(self) -> Engine:
        engine = self._engines.get(os.getpid())
        if engine is None:
            # Of two threads that come here at once, one keeps its engine; the other's is unused.
            engine = self._engines.setdefault(os.getpid(), make_engine(self._url))
        if self._time is not None and engine.dialect.name == "postgresql":
            self._time.look(lambda: _asking(engine))
        return engine

    @contextmanager
    def _begun(self) -> Iterator[Connection]:
        with (
            self._engine().connect().execution_options(**{WRITES: True}) as connection,
            connection.begin(),
        ):
            yield connection

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        with told(self._url), self._begun() as connection:
            yield connection

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with told(self._url), self._engine().connect() as connection:
            yield connection


@contextmanager
def _asking(engine: Engine) -> Iterator[Callable[[str], float]]:
    with engine.connect() as connection:
        connection.exec_driver_sql("SELECT 1")  # the way there is open now: an answer takes no time
        yield lambda statement: float(connection.exec_driver_sql(statement).scalar_one())


def _is_file(database: str | None) -> bool:
    return database not in (None, "", ":memory:")


def _private_file(owner: SqlLedger) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="proctor-ledger-"))
    weakref.finalize(owner, _remove, folder, os.getpid())
    return folder / "ledger.db"


def _remove(folder: Path, maker: int) -> None:
    if os.getpid() == maker:  # a forked child that ends must not take its parent's file along
        shutil.rmtree(folder, ignore_errors=True)
