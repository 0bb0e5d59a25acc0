"""Work in threads that can be left behind.

A thread that waits on a socket cannot be ended from outside: it notices at the end of that wait,
half a minute later at the worst. Who waits for the threads' work need not wait for that.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue

_LOOK = 0.2
"""Seconds between two looks whether the work is still wanted."""

_PARTING = 1.0
"""Seconds that threads have to end in order before they are left behind."""


def together(
    jobs: Sequence[Callable[[], None]],
    at_once: int,
    unwanted: Callable[[], Exception | None],
    stop: threading.Event,
) -> None:
    """Do the jobs, at most `at_once` side by side, until all are done.

    Raises the first job's error, or what `unwanted` returns (asked five times a second). Then
    `stop` is set, for the jobs that run, and those not begun are dropped. What is not over a
    second later goes on alone, and ends with the process at the latest.
    """
    todo, results = deque(jobs), SimpleQueue[BaseException | None]()

    def work() -> None:
        while True:
            try:
                job = todo.popleft()
            except IndexError:
                return
            try:
                job()
            except BaseException as error:  # raised by who waits for it
                results.put(error)
            else:
                results.put(None)

    crew = [
        threading.Thread(target=work, name=f"snapshot-{n}", daemon=True)
        for n in range(min(at_once, len(jobs)))
    ]
    for thread in crew:
        thread.start()
    try:
        for _ in jobs:
            error = _next(results, unwanted)
            if error is not None:
                raise error
    except BaseException:
        stop.set()
        todo.clear()
        until = time.monotonic() + _PARTING
        for thread in crew:
            thread.join(max(0.0, until - time.monotonic()))
        raise


def _next(
    results: SimpleQueue[BaseException | None], unwanted: Callable[[], Exception | None]
) -> BaseException | None:
    while (problem := unwanted()) is None:
        with suppress(Empty):
            return results.get(timeout=_LOOK)
    return problem
