"""A clock that stands still until told otherwise."""

from __future__ import annotations

import random
import threading

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


class FakeClock:
    """Implements `proctor.ports.clock.Clock`, deterministically.

    Starts at `start` (seconds since the epoch). Ids sort by the order in which they were made;
    `random` repeats for an equal `seed`.
    """

    def __init__(self, start: float = 1_700_000_000.0, seed: int = 0) -> None:
        self._lock = threading.Lock()
        self._now = start
        self._monotonic = 0.0
        self._made = 0
        self._random = random.Random(seed)  # noqa: S311 - jitter in tests, no secret

    def now(self) -> float:
        """Seconds since the epoch, UTC."""
        return self._now

    def monotonic(self) -> float:
        """Seconds on a clock that never jumps."""
        return self._monotonic

    def new_id(self) -> str:
        """26 characters as a ULID has: ten of time, sixteen that count."""
        with self._lock:
            self._made += 1
            return _base32(int(self._now * 1000), 10) + _base32(self._made, 16)

    def random(self) -> float:
        """A number in [0, 1)."""
        with self._lock:
            return self._random.random()

    def advance(self, seconds: float) -> None:
        """Let time pass on both clocks."""
        if seconds < 0:
            raise ValueError("time passes forwards; use jump() to set the wall clock back")
        with self._lock:
            self._now += seconds
            self._monotonic += seconds

    def jump(self, seconds: float) -> None:
        """Set the wall clock on or back; the monotonic clock does not notice."""
        with self._lock:
            self._now += seconds


def _base32(number: int, width: int) -> str:
    digits = []
    for _ in range(width):
        number, digit = divmod(number, 32)
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))
