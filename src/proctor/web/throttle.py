"""How much one sender may ask for: a token bucket each.

The buckets live in this process and start full; several receivers each count for themselves.
"""

from __future__ import annotations

import ipaddress
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pyrate_limiter import Rate, RateItem, StateBucket, TokenBucket

from proctor.ports.clock import Clock

KEYS: Final = 10_000
"""Senders that are remembered; beyond it, who was not heard of for longest starts anew."""

_MINUTE: Final = 60_000  # milliseconds


@dataclass(frozen=True, slots=True)
class Allowance:
    """`per_minute` in the long run, `burst` at once."""

    per_minute: int
    burst: int


class Throttle:
    """One bucket for each key. Safe from any thread."""

    def __init__(self, allowance: Allowance, clock: Clock) -> None:
        self._rates = [Rate(allowance.per_minute, _MINUTE, burst=allowance.burst)]
        self._clock = clock
        self._lock = threading.Lock()
        self._buckets: OrderedDict[str, StateBucket] = OrderedDict()

    def wait(self, key: str) -> float:
        """Take a token of `key`'s; 0, or the seconds until there is one (none is taken then)."""
        return self.waits(key, 1)[0]

    def waits(self, key: str, count: int) -> Sequence[float]:
        """`wait`, `count` times."""
        now = int(self._clock.monotonic() * 1000)
        with self._lock:
            bucket = self._bucket(key)
            if count > 1 and bucket.put(RateItem(key, now, weight=count)):
                return (0.0,) * count
            return [_take(bucket, RateItem(key, now)) for _ in range(count)]

    def _bucket(self, key: str) -> StateBucket:
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = StateBucket(self._rates, TokenBucket())
            if len(self._buckets) > KEYS:
                self._buckets.popitem(last=False)
        else:
            self._buckets.move_to_end(key)
        return bucket


def _take(bucket: StateBucket, item: RateItem) -> float:
    if bucket.put(item):
        return 0.0
    milliseconds = bucket.waiting(item)
    assert isinstance(milliseconds, int), "a bucket in memory answers at once"
    return max(1, milliseconds) / 1000


def neighbourhood(host: str) -> str:
    """Whom an address counts with: of IPv6 everyone has a whole network (/64) of addresses."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if address.version == 4:
        return host
    return str(ipaddress.ip_network((address, 64), strict=False))
