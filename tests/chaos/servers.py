"""PostgreSQL and Redis under a walk whose worker is in this process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Protocol

from kombu.entity import Queue
from tests.patience import patient

from proctor.core.run import Step
from proctor.ledger import SqlLedger
from proctor.ledger.engine import make_engine, read_url
from proctor.ledger.migrate import upgrade
from proctor.ledger.tables import metadata
from proctor.ports.clock import Clock
from proctor.queue.app import QUEUES, make_app
from proctor.queue.jobs import step_id_of
from proctor.queue.waker import CeleryQueue
from proctor.testing import FakeQueue


class Postgres(Protocol):
    """What is needed of the server."""

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def url(self, name: str) -> str: ...
    def new_database(self) -> str: ...


class RedisQueue(FakeQueue):
    """The hints of a walk on their way through Redis, as the messages that workers get."""

    def __init__(self, url: str) -> None:
        super().__init__()
        app = make_app(url)
        self._sender = CeleryQueue(app)
        self._connection = app.connection_for_read()
        channel = self._connection.channel()
        self._boxes = [Queue(name, channel=channel) for name in QUEUES]  # type: ignore[no-untyped-call]  # half typed
        self._sent: dict[str, Step] = {}

    def wake(self, step: Step) -> bool:
        """Send one hint; returns whether the broker took it."""
        self._sent[step.id] = step
        return self._sender.wake(step)

    def take(self) -> tuple[Step, ...]:
        """The hints that wait, those for `io` first; they wait no longer."""
        taken: list[Step] = []
        for box in self._boxes:
            while (message := box.get(no_ack=True)) is not None:  # type: ignore[no-untyped-call]  # half typed
                arguments, named, _ = message.payload
                taken.append(self._sent[step_id_of(tuple(arguments), named) or ""])
        return tuple(taken)

    def close(self) -> None:
        """Let go of the connections."""
        self._sender.close()
        self._connection.release()


class OnServers:
    """A database that each walk finds empty, and a queue for all of them."""

    def __init__(self, database: str, queue: RedisQueue) -> None:
        self.database, self.queue = database, queue

    def ledger(self, clock: Clock) -> SqlLedger:
        """The ledger of a walk that begins: nothing is in it, and nothing in the queue."""
        engine = make_engine(read_url(self.database))
        with engine.begin() as connection:
            names = ", ".join(metadata.tables)
            connection.exec_driver_sql(f"TRUNCATE {names} RESTART IDENTITY")
        engine.dispose()
        self.queue.lose_all()
        return SqlLedger(self.database, clock)


@contextmanager
def on_servers(postgres: Postgres, redis_url: str) -> Iterator[OnServers]:
    """Both, for tests that one after the other use them."""
    database = patient(postgres.url(postgres.new_database()))
    upgrade(database)
    with closing(RedisQueue(redis_url)) as queue:
        yield OnServers(database, queue)
