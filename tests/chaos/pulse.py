"""Notes in the diary when the whole machine stood still: then leases end that nobody let end."""

from __future__ import annotations

import threading
import time

from tests.chaos.diary import Diary, Frozen

BEAT = 0.2
LATE = 1.0
"""Seconds by which a beat that was only waited for tells that no process went on meanwhile."""


class Pulse:
    """A thread that does nothing but look at the clock, until `stop`."""

    def __init__(self, diary: Diary) -> None:
        self._diary, self._over = diary, threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """The end."""
        self._over.set()
        self._thread.join()

    def _beat(self) -> None:
        before = time.time()
        while not self._over.wait(BEAT):
            now = time.time()
            if now - before > BEAT + LATE:
                self._diary.frozen.append(Frozen(None, before, now))
                self._diary.done["the machine stood still"] += 1
            before = now
