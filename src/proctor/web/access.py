"""The outermost layer: the way in for deliveries, a line in the log for each other request, and no
error without an answer.

The server's own access log is off: it writes the query, where the webhook secret may be. Deliveries
go past the framework's routing, which costs more than storing them.
"""

from __future__ import annotations

import asyncio
import logging
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import Message, Receive, Scope, Send

from proctor.web.answers import cannot_store, problem
from proctor.web.metrics import Metrics
from proctor.web.receiver import HUB_PATH, Kept, Receiver

logger = logging.getLogger("proctor.access")
errors = logging.getLogger(__name__)

_OWN_PATHS: Final = frozenset({HUB_PATH, "/healthz", "/readyz", "/metrics", "/"})

SUMMED_UP: Final = frozenset({202, 429})
"""Answers to deliveries that come by the thousand: a line each at DEBUG, at INFO one a second."""

_PERIOD: Final = 1.0  # seconds


class Access:
    """ASGI application around `app`: counts, times and logs; turns what nobody caught into an
    answer (503 for a delivery, as nothing was stored, and 500 elsewhere)."""

    def __init__(
        self, app: Starlette, receiver: Receiver, metrics: Metrics, scrub: Callable[[str], str]
    ) -> None:
        self.receiver = receiver
        self._app = app
        self._metrics = metrics
        self._scrub = scrub
        self._summed: Counter[int] = Counter()

    @property
    def routes(self) -> Sequence[BaseRoute]:
        """Every address that is answered."""
        return self._app.routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass an HTTP request on, and see it through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["path"] == HUB_PATH and scope["method"] == "POST":
            await self._deliver(scope, receive, send)
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
            self._tell(e)
            if not status:
                await _APOLOGY(scope, receive, watch)
        finally:
            self._record(_label(scope["path"]), scope, status, time.perf_counter() - began)

    def delivered(self, status: int, seconds: float) -> None:
        """Count and log a delivery that was answered otherwise than by calling this application."""
        self._record(HUB_PATH, _DELIVERY, status, seconds)

    def failed(self, error: Exception) -> Response:
        """The answer to a delivery that was not stored because of something unforeseen."""
        self._tell(error)
        return cannot_store()

    async def _deliver(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        answer: Kept | Response
        try:
            answer = await self.receiver.answer(scope, receive)
        except Exception as e:  # nothing was stored
            answer = self.failed(e)
        try:
            await answer(scope, receive, send)
        finally:
            self._record(HUB_PATH, scope, answer.status_code, time.perf_counter() - began)

    def _tell(self, error: Exception) -> None:
        told = "".join(traceback.format_exception(error))
        errors.error("unforeseen error: %s", self._scrub(told))

    def _record(self, label: str, scope: Scope, status: int, seconds: float) -> None:
        self._metrics.answered(label, status, seconds)
        level = logging.INFO
        if label == HUB_PATH and status in SUMMED_UP:
            level = logging.DEBUG
            self._sum_up(status)
        if logger.isEnabledFor(level):
            # The raw path is ASCII without control characters: no line can be forged with it.
            path = scope.get("raw_path", b"").partition(b"?")[0][:200].decode("ascii", "replace")
            method, path = scope["method"][:20], self._scrub(path)
            logger.log(level, "%s %s %d %.1f ms", method, path, status, seconds * 1000)

    def _sum_up(self, status: int) -> None:
        if not self._summed:
            asyncio.get_running_loop().call_later(_PERIOD, self._say)
        self._summed[status] += 1

    def _say(self) -> None:
        counts, self._summed = self._summed, Counter()
        told = ", ".join(f"{count} x {status}" for status, count in sorted(counts.items()))
        logger.info("POST %s in %g s: %s", HUB_PATH, _PERIOD, told)


_DELIVERY: Final[Scope] = {"method": "POST", "raw_path": HUB_PATH.encode()}

_APOLOGY: Final = problem(
    500, "something went wrong here", "try again; the log of the server says more"
)


def _label(path: str) -> str:
    if path in _OWN_PATHS:
        return path
    return "/api" if path.startswith("/api/") else "other"
