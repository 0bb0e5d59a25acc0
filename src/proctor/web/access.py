"""The outermost layer: one line in the log for each request, and no error without an answer.

The server's own access log is off: it writes the query, where the webhook secret may be.
"""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Callable
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from proctor.web.answers import cannot_store, problem
from proctor.web.metrics import Metrics

logger = logging.getLogger("proctor.access")
errors = logging.getLogger(__name__)

HUB_PATH: Final = "/webhooks/hub"
_OWN_PATHS: Final = frozenset({HUB_PATH, "/healthz", "/readyz", "/metrics", "/"})


class Access:
    """ASGI middleware: counts, times and logs; turns what nobody caught into an answer (503 for
    a delivery, as nothing was stored, and 500 elsewhere)."""

    def __init__(self, app: ASGIApp, metrics: Metrics, scrub: Callable[[str], str]) -> None:
        self._app = app
        self._metrics = metrics
        self._scrub = scrub

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass an HTTP request on, and see it through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        status = 0

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watch)
        except Exception as e:
            errors.error(
                "unforeseen error: %s", self._scrub("".join(traceback.format_exception(e)))
            )
            if not status:
                await _apology(scope)(scope, receive, watch)
        finally:
            self._record(scope, status, time.perf_counter() - began)

    def _record(self, scope: Scope, status: int, seconds: float) -> None:
        label = _label(scope["path"])
        self._metrics.requests.labels(label, str(status)).inc()
        self._metrics.latency.labels(label).observe(seconds)
        # The raw path is ASCII without control characters: no line can be forged with it.
        path = scope.get("raw_path", b"").partition(b"?")[0][:200].decode("ascii", "replace")
        method = scope["method"][:20]
        logger.info("%s %s %d %.1f ms", method, self._scrub(path), status, seconds * 1000)


def _apology(scope: Scope) -> ASGIApp:
    if scope["path"] == HUB_PATH:
        return cannot_store()
    return problem(500, "something went wrong here", "try again; the log of the server says more")


def _label(path: str) -> str:
    if path in _OWN_PATHS:
        return path
    return "/api" if path.startswith("/api/") else "other"
