"""Waking workers, never on the path of an answer.

A broker that accepts a connection and then says nothing can hold a caller for seconds. The
deliveries are on record by now, and the sweep finds what no hint told: so hints wait in a small
room of their own, and are dropped when it is full.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable
from typing import Final

from proctor.core.run import Step
from proctor.ports.queue import Queue
from proctor.web.metrics import Metrics

logger = logging.getLogger(__name__)

ROOM: Final = 1000
"""Steps that may wait to be told to the broker."""

QUIET: Final = 0.25
"""Seconds between two hints for one step: a hint costs more than the delivery that asks for it, and
the step that a worker has been told of serves all deliveries that come before it begins."""


class Waker:
    """Sends hints from one thread; hints for one step that waits are one hint."""

    def __init__(self, queue: Queue, metrics: Metrics) -> None:
        self._queue = queue
        self._metrics = metrics
        self._changed = threading.Condition()
        self._waiting: dict[str, Step] = {}
        self._told: dict[str, float] = {}  # step ids, with the time (monotonic) of the last hint
        self._stopping = True
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to send."""
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="waker", daemon=True)
        self._thread.start()

    def stop(self, timeout: float = 2.0) -> None:
        """Send what waits, then end; gives up after `timeout` seconds (a hint is only a hint)."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(timeout)

    def wake(self, steps: Iterable[Step]) -> None:
        """Have workers look at `steps` soon. Returns at once, whatever the broker does."""
        dropped = 0
        with self._changed:
            for step in steps:
                if len(self._waiting) < ROOM or step.id in self._waiting:
                    self._waiting[step.id] = step
                else:
                    dropped += 1
            self._changed.notify()
        if dropped:
            self._metrics.wakes.labels("dropped").inc(dropped)

    def _run(self) -> None:
        while (step := self._next()) is not None:
            try:
                taken = self._queue.wake(step)
            except Exception as e:  # the port says never; this thread must outlive a mistake
                logger.error("waking a worker failed: %s", type(e).__name__)
                taken = False
            self._metrics.wakes.labels("sent" if taken else "failed").inc()

    def _next(self) -> Step | None:
        with self._changed:
            while True:
                now = time.monotonic()
                self._told = {each: at for each, at in self._told.items() if now - at < QUIET}
                for step in self._waiting.values():
                    if step.id not in self._told or self._stopping:
                        del self._waiting[step.id]
                        self._told[step.id] = now
                        return step
                if self._stopping:
                    return None
                # All that waits was told of a moment ago (dicts keep the order: the first is
                # the oldest), or nothing waits.
                first = next((at for each, at in self._told.items() if each in self._waiting), None)
                self._changed.wait(None if first is None else max(0.001, first + QUIET - now))
