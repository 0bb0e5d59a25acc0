"""The machine's clock and its source of chance."""

from __future__ import annotations

import logging
import random
import time
from functools import lru_cache
from typing import Final

logger = logging.getLogger(__name__)

CLOSE: Final = 0.25
"""Seconds by which a host's clock may be off before it is corrected: time should not jump about
for what two looks at one clock may differ by."""

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = [a + b for a in _ALPHABET for b in _ALPHABET]  # ids are made two for each delivery


@lru_cache(maxsize=1)  # many ids are made within a millisecond
def _moment(milliseconds: int) -> str:
    return "".join([_PAIRS[milliseconds >> shift & 1023] for shift in range(40, -1, -10)])


class SystemClock:
    """Implements `proctor.ports.clock.Clock`."""

    def now(self) -> float:
        """Seconds since the epoch, UTC."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds on a clock that never jumps."""
        return time.monotonic()

    def new_id(self) -> str:
        """A ULID (https://github.com/ulid/spec): 48 bits of milliseconds, 80 bits of chance."""
        # Not os.urandom: nobody has to guess these, and it lets go of the interpreter's lock each
        # time. `random` is seeded by the system, and anew in a child that was forked.
        moment, pairs = _moment(time.time_ns() // 1_000_000), _PAIRS
        a, b = random.getrandbits(40), random.getrandbits(40)
        # Without a loop, which takes twice as long.
        first = f"{pairs[a >> 30]}{pairs[a >> 20 & 1023]}{pairs[a >> 10 & 1023]}{pairs[a & 1023]}"
        second = f"{pairs[b >> 30]}{pairs[b >> 20 & 1023]}{pairs[b >> 10 & 1023]}{pairs[b & 1023]}"
        return f"{moment}{first}{second}"

    def random(self) -> float:
        """A number in [0, 1), for jitter."""
        return random.random()  # noqa: S311 - jitter, no secret


class HostsClock(SystemClock):
    """The machine's clock, corrected to one that all hosts of a deployment share: their database's.

    Leases and due times are written on one host and read on another. Hosts whose clocks differ
    would take live work from one another, or leave dead work lying.
    """

    def __init__(self) -> None:
        self.ahead = 0.0
        """Seconds by which the shared clock is ahead of this machine's (behind: negative)."""

    def now(self) -> float:
        """Seconds since the epoch, UTC, on the shared clock."""
        return self.machine() + self.ahead

    def machine(self) -> float:
        """Seconds since the epoch, UTC, on this machine's own clock."""
        return time.time()

    def correct(self, shared: float, within: float) -> None:
        """The shared clock showed `shared` at some moment of the last `within` seconds."""
        heard = self.machine()
        least, most = shared - heard, shared - heard + within
        if least - CLOSE <= self.ahead <= most + CLOSE:
            return
        self.ahead = (least + most) / 2
        logger.warning(
            "this machine's clock is %.1f s %s that of the database, which counts: set it by NTP",
            abs(self.ahead),
            "behind" if self.ahead > 0 else "ahead of",
        )
