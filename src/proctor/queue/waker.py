"""Sending hints, bounded in time whatever the broker does.

One thread per process owns the connection. `wake` hands it a letter and waits for at most
`patience`, so a broker that accepts and never answers, a name server that hangs or a trickle of
bytes (which socket timeouts do not bound) cost the caller no more than that. After a failure
nothing is tried for `pause`: a dead broker must not cost every caller its patience.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
import weakref
from dataclasses import dataclass, field
from queue import SimpleQueue
from threading import Event, Lock, Thread
from typing import Any

from proctor.core.run import Step
from proctor.queue.app import App, check_queue_name
from proctor.queue.bounds import QueueFull
from proctor.queue.jobs import JOBS

PATIENCE = 3.0
"""Seconds that a caller waits for the broker at most."""

PAUSE = 5.0
"""Seconds after a failure in which no hint is tried."""

log = logging.getLogger(__name__)


class CeleryQueue:
    """The `Queue` port over Celery. Safe from any thread and after a fork. `close` it at the end.

    Keep it out of event loops: `wake` may block for `patience` seconds.
    """

    def __init__(self, app: App, *, patience: float = PATIENCE, pause: float = PAUSE) -> None:
        self._app = app
        self._patience = patience
        self._pause = pause
        self._line: _Line | None = None
        self._inherited: list[_Line] = []
        self._lock = Lock()
        forget = weakref.WeakMethod(self._forget_parent)  # the registration lasts for ever
        os.register_at_fork(after_in_child=lambda: (bound := forget()) and bound())

    def wake(self, step: Step) -> bool:
        """Send one hint; whether the broker took it. Returns within `patience` seconds."""
        try:
            check_queue_name(step.queue)
        except ValueError as error:
            log.error("step %s cannot be sent: %s", step.id, error)
            return False
        with self._lock:
            if self._line is None:
                self._line = _Line(self._app, self._patience, self._pause)
            line = self._line
        return line.send(_Letter(JOBS[step.kind], step.id, step.queue))

    def close(self) -> None:
        """Let go of the connection. A later `wake` opens a new one."""
        with self._lock:
            line, self._line = self._line, None
        if line is not None:
            line.close()

    def _forget_parent(self) -> None:
        # The thread is not there in the child. The parent's connection must not be closed from
        # here, so it is kept from the garbage collector.
        if self._line is not None:
            self._inherited.append(self._line)
        self._line = None
        self._lock = Lock()


@dataclass(slots=True)
class _Letter:
    job: str
    step_id: str
    queue: str
    answered: Event = field(default_factory=Event)
    given_up: bool = False
    taken: bool = False


class _Line:
    """The thread that talks to the broker, and the way to it."""

    def __init__(self, app: App, patience: float, pause: float) -> None:
        self._app = app
        self._patience = patience
        self._pause = pause
        self._closed_until = 0.0
        self._talking_since: float | None = None
        self._failing = False
        self._full: set[str] = set()
        self._connection: Any = None
        self._producer: Any = None
        self._inbox: SimpleQueue[_Letter | None] = SimpleQueue()
        self._thread = Thread(target=self._talk, name="proctor-waker", daemon=True)
        self._thread.start()

    def send(self, letter: _Letter) -> bool:
        now = time.monotonic()
        since = self._talking_since
        if now < self._closed_until or (since is not None and now - since > self._patience):
            return False
        self._inbox.put(letter)
        if letter.answered.wait(self._patience):
            return letter.taken
        letter.given_up = True
        self._trip(f"no answer within {self._patience:g} s")
        return False

    def close(self) -> None:
        self._inbox.put(None)
        self._thread.join(self._patience)

    def _talk(self) -> None:
        while (letter := self._inbox.get()) is not None:
            if not letter.given_up and time.monotonic() >= self._closed_until:
                self._talking_since = time.monotonic()
                self._try(letter)
                self._talking_since = None
            letter.answered.set()
        self._hang_up()

    def _try(self, letter: _Letter) -> None:
        used = self._producer is not None
        try:
            try:
                self._publish(letter)
            except Exception as error:
                if isinstance(error.__cause__, QueueFull):
                    raise
                self._hang_up()
                if not used or letter.given_up:
                    raise
                self._publish(letter)  # the old connection may have died while nobody looked
        except Exception as error:
            if isinstance(error.__cause__, QueueFull):  # kombu wraps what a transport raises
                if letter.queue not in self._full:
                    log.warning("%s", error)
                self._full.add(letter.queue)
                return  # the broker is well, and so may be its other queues
            self._hang_up()
            self._trip(f"{type(error).__name__}: {error}")
            return
        letter.taken = True
        self._full.discard(letter.queue)
        if self._failing:
            log.info("the broker takes hints again")
        self._failing = False

    def _publish(self, letter: _Letter) -> None:
        if self._producer is None:
            self._connection = self._app.connection_for_write()
            self._connection.ensure_connection(max_retries=0)  # connect() would pause and retry
            self._producer = self._app.amqp.Producer(self._connection.channel())
        self._app.send_task(
            letter.job,
            args=(letter.step_id,),
            queue=letter.queue,
            producer=self._producer,
            retry=False,
            ignore_result=True,
        )

    def _hang_up(self) -> None:
        connection, self._connection, self._producer = self._connection, None, None
        if connection is not None:
            with contextlib.suppress(Exception):  # it is being thrown away
                connection.release()

    def _trip(self, why: str) -> None:
        self._closed_until = time.monotonic() + self._pause
        if not self._failing:
            log.warning("the broker takes no hints (%s); the sweep will send them again", why)
        self._failing = True
