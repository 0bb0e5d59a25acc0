"""Running a Celery worker: the only module that imports Celery's.

The pool is threads. Evals run in processes of their own, under their own supervisor, so there is
nothing to gain from forked pool children; and those are what loses work when the whole group
gets a TERM or one child is killed. A thread can be asked to stop; what does not stop within the
grace period (a call that nobody answers) another thread gives back, and it ends with the process.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from types import FrameType
from typing import Any

from celery import bootsteps  # type: ignore[import-untyped]  # Celery ships no types
from celery.apps.worker import Worker  # type: ignore[import-untyped]  # likewise
from celery.worker import state  # type: ignore[import-untyped]  # likewise

from proctor.queue.app import App, check_queue_name

GRACE = 20.0
"""Seconds from the first signal until work that goes on is abandoned."""

LAST = 5.0
"""Seconds at the most for giving abandoned work back (a database may hang too)."""

BEAT = 10.0
"""Seconds between two touches of the `alive` file."""

EXIT_ABANDONED = 75
"""The exit status when work was abandoned (EX_TEMPFAIL)."""

_LIGHT = frozenset({"io"})
"""Queues of short work, where fetching ahead makes a burst faster."""

_IMPATIENT = 2.0
"""Seconds after which a second SIGINT is a wish (before, it may be the terminal's and the
supervisor's, both about the same Ctrl-C)."""

log = logging.getLogger(__name__)


def run_worker(
    app: App,
    perform: Callable[[str], None],
    *,
    queues: Sequence[str],
    concurrency: int,
    name: str,
    on_stop: Callable[[], None],
    on_abandon: Callable[[], None] = lambda: None,
    grace: float = GRACE,
    alive: Path | None = None,
) -> int:
    """Perform steps from `queues` until SIGTERM or SIGINT; returns the exit status.

    Call it from the main thread; it blocks. `perform(step_id)` is called from `concurrency`
    threads. `name` tells workers apart ("eval-1@host"). On the first signal no more messages are
    taken and `on_stop()` is called once, from another thread: running calls of `perform` should
    then return soon. What has not returned after `grace` seconds is abandoned: `on_abandon()` is
    called to give it back, and when it has returned, or after 5 s, the process ends with status 75.
    A second SIGINT (not sooner than 2 s after the first) does the same.

    `alive` is touched every 10 s while the worker is connected to the broker, and removed when it
    has ended; another worker that shares it makes it again at its next touch.

    While the broker cannot be reached the worker waits and tries again, for ever. Raises
    ValueError for a wrong queue name or fewer than one thread.
    """
    if concurrency < 1:
        raise ValueError("a worker needs at least one thread")
    for queue in queues:
        check_queue_name(queue)
    app.perform = perform
    stops: SimpleQueue[int] = SimpleQueue()
    watch = (stops, on_stop, on_abandon, grace)
    Thread(target=_watch, args=watch, name="stopper", daemon=True).start()
    for step in _steps(hoard=set(queues) <= _LIGHT, alive=alive):
        app.steps["consumer"].add(step)

    def stop(signum: int, _: FrameType | None) -> None:
        stops.put(signum)  # may be called inside any lock; SimpleQueue.put is safe there
        state.should_stop = 0

    previous = {signum: signal.signal(signum, stop) for signum in (signal.SIGTERM, signal.SIGINT)}
    state.should_stop = state.should_terminate = None
    try:
        worker = _Worker(
            app=app,
            stops=stops,
            hostname=name,
            pool_cls="threads",
            concurrency=concurrency,
            queues=list(queues),
            quiet=True,
            without_heartbeat=True,
            without_mingle=True,
            without_gossip=True,
        )
        # What is here now stays. To look at all of it takes the collector tens of milliseconds, in
        # which a transaction may keep others waiting.
        gc.collect()
        gc.freeze()
        worker.start()
        return int(worker.exitcode or 0)
    finally:
        for signum, handler in previous.items():
            signal.signal(signum, handler)
        if alive is not None:
            with suppress(OSError):
                alive.unlink(missing_ok=True)


class _Worker(Worker):  # type: ignore[misc]  # Celery ships no types
    """Celery's worker without its banner, its logging set-up and its signal handlers (HUP would
    execute the command line again, a second TERM is ignored for as long as a task runs)."""

    def __init__(self, *, stops: SimpleQueue[int], **options: Any) -> None:
        self._stops = stops
        super().__init__(**options)

    def setup_logging(self, colorize: bool | None = None) -> bool:
        """Logging is set up already."""
        return True

    def install_platform_tweaks(self, worker: Any) -> None:
        """Signals are ours."""

    def stop(self, in_sighandler: bool = False, exitcode: int | None = None) -> None:
        """Also without a signal (an error that Celery cannot mend), running work has to end."""
        self._stops.put(0)
        super().stop(in_sighandler, exitcode)


def _watch(
    stops: SimpleQueue[int],
    on_stop: Callable[[], None],
    on_abandon: Callable[[], None],
    grace: float,
) -> None:
    stops.get()
    began = time.monotonic()
    log.info("stopping: running work has %g s to end", grace)
    try:
        on_stop()
    except Exception:
        log.exception("the stop was not passed on")
    while (left := began + grace - time.monotonic()) > 0:
        try:
            signum = stops.get(timeout=left)
        except Empty:
            break
        if signum == signal.SIGINT and time.monotonic() - began > _IMPATIENT:
            break
    log.error("work is abandoned: others take over what is given back, the rest after its lease")
    giving_back = Thread(target=_abandon, args=(on_abandon,), name="abandon", daemon=True)
    giving_back.start()
    giving_back.join(LAST)
    logging.shutdown()
    os._exit(EXIT_ABANDONED)  # Python would wait for the threads for ever


def _abandon(on_abandon: Callable[[], None]) -> None:
    try:
        on_abandon()
    except Exception:
        log.exception("abandoned work was not given back")


def _steps(*, hoard: bool, alive: Path | None) -> list[type]:
    """What we add to Celery's consumer."""
    after_tasks = ("celery.worker.consumer.tasks:Tasks",)

    class Slots(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery ships no types
        """Takes no message after the stop and, unless hoarding, only when a thread is free. With
        early acknowledgement Celery reserves one more per thread, which would wait behind an eval
        of hours while other workers are idle. (`worker_disable_prefetch` does that much, but for
        Redis only.)"""

        requires = after_tasks

        def start(self, consumer: Any) -> None:
            qos = consumer.task_consumer.channel.qos
            allowed = qos.can_consume
            threads = consumer.pool.num_processes

            def can_consume() -> bool:
                free = hoard or len(state.reserved_requests) < threads
                return state.should_stop is None and free and bool(allowed())

            qos.can_consume = can_consume

    class Beat(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery ships no types
        """Touches a file while the consumer runs."""

        requires = after_tasks
        timer: Any = None

        def start(self, consumer: Any) -> None:
            assert alive is not None
            alive.parent.mkdir(parents=True, exist_ok=True)
            alive.touch()
            self.timer = consumer.timer.call_repeatedly(BEAT, alive.touch)

        def stop(self, consumer: Any) -> None:
            if self.timer is not None:
                self.timer.cancel()
                self.timer = None

    return [Slots] if alive is None else [Slots, Beat]
