"""The machine's clock and its source of chance."""

from __future__ import annotations

import random
import time

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = [a + b for a in _ALPHABET for b in _ALPHABET]  # ids are made two for each delivery


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
        chance = random.getrandbits(80)
        number = (time.time_ns() // 1_000_000) << 80 | chance
        return "".join([_PAIRS[number >> shift & 1023] for shift in range(120, -1, -10)])

    def random(self) -> float:
        """A number in [0, 1), for jitter."""
        return random.random()  # noqa: S311 - jitter, no secret
