"""How much one sender may ask for: a token bucket each, which holds what a minute brings.

The buckets live in this process and start full; several receivers each count for themselves.
"""

from __future__ import annotations

import ipaddress
import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from pyrate_limiter import Rate, RateItem, StateBucket, TokenBucket

from proctor.ports.clock import Clock

KEYS: Final = 10_000
"""Senders that are remembered; beyond it, who was not heard of for longest starts anew."""

LONGEST: Final = 3600.0
"""Seconds for which work is put off at most."""

_MINUTE: Final = 60.0  # seconds


class _Buckets:
    """A bucket for each key, `per_minute` to refill it and `room` for tokens. Safe from any
    thread while `lock` is held."""

    def __init__(self, per_minute: int, room: int, clock: Clock) -> None:
        self.lock = threading.Lock()
        self._rates = [Rate(per_minute, int(_MINUTE * 1000), burst=room)]
        self._clock = clock
        self._found: OrderedDict[str, StateBucket] = OrderedDict()

    def of(self, key: str) -> StateBucket:
        bucket = self._found.get(key)
        if bucket is None:
            bucket = self._found[key] = StateBucket(self._rates, TokenBucket())
            if len(self._found) > KEYS:
                self._found.popitem(last=False)
        else:
            self._found.move_to_end(key)
        return bucket

    def now(self) -> int:
        return int(self._clock.monotonic() * 1000)


class Throttle:
    """Refuses who asks too often."""

    def __init__(self, per_minute: int, clock: Clock) -> None:
        self._buckets = _Buckets(per_minute, per_minute, clock)

    def wait(self, key: str) -> float:
        """Take a token of `key`'s; 0, or the seconds until there is one (none is taken then)."""
        with self._buckets.lock:
            bucket = self._buckets.of(key)
            item = RateItem(key, self._buckets.now())
            if bucket.put(item):
                return 0.0
            milliseconds = bucket.waiting(item)
        assert isinstance(milliseconds, int), "a bucket in memory answers at once"
        return max(1, milliseconds) / 1000


class Pacing:
    """Puts off what comes too fast: everyone's turn comes, at the rate that was set."""

    def __init__(self, per_minute: int, clock: Clock) -> None:
        self._at_once = per_minute
        self._gap = _MINUTE / per_minute
        # Room for those who wait too: they take their tokens in advance.
        self._buckets = _Buckets(per_minute, per_minute + int(LONGEST / self._gap), clock)

    def waits(self, key: str, count: int) -> Sequence[float]:
        """Take `count` tokens of `key`'s; for each the seconds until its turn."""
        with self._buckets.lock:
            bucket = self._buckets.of(key)
            now = self._buckets.now()
            taken = 0
            if bucket.put(RateItem(key, now, weight=count)):
                taken = count
            while taken < count and bucket.put(RateItem(key, now)):
                taken += 1
            state = bucket.store.read(bucket.algorithm, bucket.rates)
            assert isinstance(state, tuple), "a bucket in memory answers at once"
            owed = bucket.algorithm.consumed(bucket.rates, state, now)
        if owed <= self._at_once:
            return (0.0,) * count
        before = owed - self._at_once - taken
        turns = [max(0, before + turn) * self._gap for turn in range(1, taken + 1)]
        return [*turns, *[LONGEST] * (count - taken)]


def neighbourhood(host: str) -> str:
    """Whom an address counts with: of IPv6 everyone has a whole network (/64) of addresses."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if address.version == 4:
        return host
    return str(ipaddress.ip_network((address, 64), strict=False))
