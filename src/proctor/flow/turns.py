"""Taking turns: so many at once, and who has to wait keeps no thread from other work."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Turns:
    """Room for `at_once` threads. What finds none waits here by its id, and is done by the next
    thread that is through with its own. Nothing else knows that it waits: after a crash the sweep
    finds it."""

    def __init__(self, at_once: int) -> None:
        self._lock = threading.Lock()
        self._free = at_once
        self._waiting: dict[str, None] = {}

    def take(self, id: str, act: Callable[[str], bool]) -> bool:
        """Act on it, then on all that waits; returns what the first act did. False where it has
        to wait itself: it does so once, however often it is brought."""
        with self._lock:
            if not self._free:
                self._waiting[id] = None
                return False
            self._free -= 1
        try:
            done = act(id)
            while (following := self._following()) is not None:
                act(following)
        except BaseException:
            with self._lock:
                self._free += 1
            raise
        return done

    def _following(self) -> str | None:
        """What waits longest. Where nothing does there is room again, in the same moment: nobody
        comes to wait in between."""
        with self._lock:
            following = next(iter(self._waiting), None)
            if following is None:
                self._free += 1
            else:
                del self._waiting[following]
            return following
