"""A channel that remembers."""

from __future__ import annotations

import threading
from collections import deque

from proctor.core.notice import Notice


class FakeNotifier:
    """Implements `proctor.ports.notifier.Notifier`: `sent` holds what arrived, in order."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: deque[tuple[Exception, bool]] = deque()
        self.sent: list[Notice] = []

    def send(self, notice: Notice) -> None:
        """Send once, or raise the error that the test asked for."""
        with self._lock:
            error, after_effect = self._faults.popleft() if self._faults else (None, True)
            if after_effect:
                self.sent.append(notice)
        if error is not None:
            raise error

    def fail_next(self, error: Exception, *, after_effect: bool = False, times: int = 1) -> None:
        """Raise `error` from the next `times` calls. With `after_effect` the notice arrives all
        the same: the answer was lost."""
        with self._lock:
            self._faults.extend([(error, after_effect)] * times)

    def keys(self) -> tuple[str, ...]:
        """The keys of what arrived, without repetitions: what a deduplicating receiver sees."""
        return tuple(dict.fromkeys(notice.key for notice in self.sent))
