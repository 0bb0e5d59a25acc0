"""A queue that delivers nothing by itself."""

from __future__ import annotations

import threading

from proctor.core.run import Step


class FakeQueue:
    """Implements `proctor.ports.queue.Queue`: keeps the hints until the test takes them.

    `drop_next(n)` loses the next n hints although the broker took them; `broken = True` is a
    broker that takes none.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pending: list[Step] = []
        self._drops = 0
        self.woken: list[Step] = []
        self.broken = False

    def wake(self, step: Step) -> bool:
        """Send one hint; returns whether the broker took it."""
        with self._lock:
            if self.broken:
                return False
            self.woken.append(step)
            if self._drops:
                self._drops -= 1
            else:
                self._pending.append(step)
            return True

    def take(self) -> tuple[Step, ...]:
        """The hints that wait, oldest first; they wait no longer."""
        with self._lock:
            taken = tuple(self._pending)
            self._pending.clear()
            return taken

    def drop_next(self, count: int = 1) -> None:
        """Lose the next `count` hints on their way."""
        with self._lock:
            self._drops += count

    def lose_all(self) -> int:
        """Empty the broker, as if it was wiped. Returns how many hints are gone."""
        return len(self.take())
