"""Rate limits: how many requests each caller may make per window, told on every answer.

Headers: https://www.ietf.org/archive/id/draft-ietf-httpapi-ratelimit-headers-09.html, in the
subset that ``huggingface_hub.utils.parse_ratelimit_headers`` reads. Three buckets, as on the Hub:
``api``, ``resolvers`` (files) and ``pages``.
"""

import math
import threading
import time
from dataclasses import dataclass
from typing import Literal

Bucket = Literal["api", "resolvers", "pages"]


@dataclass(frozen=True)
class Limits:
    """Requests per window and caller. The defaults are roomy, so that a trial does not stop;
    ``Limits(api=1_000, resolvers=5_000, pages=200)`` are those of a free account on the Hub."""

    api: int = 20_000
    resolvers: int = 100_000
    pages: int = 20_000
    window_s: float = 300.0


class Meter:
    """Counts requests in fixed windows, in memory. Safe to use from several threads."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._lock = threading.Lock()
        self._windows: dict[tuple[str, Bucket], tuple[float, int]] = {}

    def spend(self, who: str, bucket: Bucket) -> tuple[bool, dict[str, str]]:
        """Take one request from the caller's bucket: (is it allowed, headers for the answer)."""
        limit: int = getattr(self._limits, bucket)
        at = time.monotonic()
        with self._lock:
            if len(self._windows) > 10_000:
                self._forget_old(at)
            started, used = self._windows.get((who, bucket), (at, 0))
            if at - started >= self._limits.window_s:
                started, used = at, 0
            allowed = used < limit
            used += allowed
            self._windows[(who, bucket)] = (started, used)
        left = max(1, math.ceil(self._limits.window_s - (at - started)))
        headers = self._headers(bucket, limit - used, left)
        if not allowed:
            headers["Retry-After"] = str(left)
        return allowed, headers

    def _headers(self, bucket: Bucket, remaining: int, left_s: int) -> dict[str, str]:
        limit: int = getattr(self._limits, bucket)
        window = math.ceil(self._limits.window_s)
        return {
            "RateLimit": f'"{bucket}";r={remaining};t={left_s}',
            "RateLimit-Policy": f'"fixed window";"{bucket}";q={limit};w={window}',
        }

    def _forget_old(self, at: float) -> None:
        self._windows = {
            key: (started, used)
            for key, (started, used) in self._windows.items()
            if at - started < self._limits.window_s
        }


def bucket_of(path: str) -> Bucket:
    """Which bucket a request counts in."""
    if path.startswith("/api/") or ".git/info/lfs/" in path:
        return "api"
    if "/resolve/" in path or "/raw/" in path:
        return "resolvers"
    return "pages"
