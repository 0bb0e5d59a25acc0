"""When the Hub may be asked again, as it told us itself.

A limit is the token's, not a repo's: what one call is told, all others of this process keep to.
A call that comes too early is not sent.
"""

from __future__ import annotations

import threading
import time

import httpx2

from proctor.core.errors import TransientError
from proctor.hub.translate import limit_delay, retry_after

_Key = tuple[str, ...]


class Pauses:
    """What the Hub asked for, by `time.monotonic`. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until: dict[_Key, float] = {}

    def check(self, request: httpx2.Request) -> None:
        """Raise TransientError, with the delay that is left, where it is too early."""
        now = time.monotonic()
        with self._lock:
            left = max(self._until.get(key, now) for key in _keys(request)) - now
        if left > 0:
            raise TransientError(
                f"the Hub asked us to wait; nothing is asked for another {left:.0f} s", delay=left
            )

    def note(self, request: httpx2.Request, response: httpx2.Response) -> None:
        """Keep what an answer asks for, also one that was given: it may be the last before the
        limit. A 5xx speaks for its address only."""
        status, headers = response.status_code, response.headers
        limit, address = _keys(request)
        asked = [(limit, limit_delay(headers))]
        if status == 429:
            asked.append((limit, retry_after(headers)))
        elif status >= 500:
            asked.append((address, retry_after(headers)))
        now = time.monotonic()
        with self._lock:
            for key, delay in asked:
                if delay:
                    self._until = {k: until for k, until in self._until.items() if until > now}
                    self._until[key] = max(now + delay, self._until.get(key, now))


def _keys(request: httpx2.Request) -> tuple[_Key, _Key]:
    """The limit that a request counts against, and its address. The Hub counts calls of its API
    and downloads apart (https://huggingface.co/docs/hub/rate-limits)."""
    url = request.url
    host = (url.scheme, url.netloc.decode("ascii"))
    # Files are below /{repo}/resolve/, from where the Hub may lead to /api/resolve-cache/.
    kind = "api" if "/api/" in url.path.partition("/resolve")[0] else "files"
    return (*host, kind), (*host, request.method, url.raw_path.decode("ascii"))
