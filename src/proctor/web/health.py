"""GET /healthz: this process is alive. GET /readyz: what it needs is usable."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Final, TypeAlias

from starlette.requests import Request

from proctor.core.errors import ProctorError
from proctor.web.answers import JsonResponse

logger = logging.getLogger(__name__)

Probe: TypeAlias = Callable[[], None]
"""Returns when the thing is usable; raises a ProctorError that says why not. May block."""

PATIENCE: Final = 3.0
"""Seconds after which a probe that does not answer counts as failed."""

FRESH: Final = 1.0
"""Seconds for which an answer is given again: many who ask cost no more than one."""


async def alive(request: Request) -> JsonResponse:
    """GET /healthz."""
    return JsonResponse({"status": "ok"})


class Readiness:
    """Asks each probe in a thread of its own, never twice at a time: one that hangs costs one
    thread, however often we are asked."""

    def __init__(self, probes: Mapping[str, Probe], scrub: Callable[[str], str]) -> None:
        self._asked = {name: _Asked(name, probe, scrub) for name, probe in probes.items()}

    async def answer(self, request: Request) -> JsonResponse:
        """GET /readyz: 200 when every probe is "ok", else 503; JSON by probe."""
        found = await asyncio.gather(*(asked.state() for asked in self._asked.values()))
        probes = dict(zip(self._asked, found, strict=True))
        ready = all(state == "ok" for state in found)
        return JsonResponse(
            {"status": "ready" if ready else "not ready", "probes": probes}, 200 if ready else 503
        )


class _Asked:
    def __init__(self, name: str, probe: Probe, scrub: Callable[[str], str]) -> None:
        self._name = name
        self._probe = probe
        self._scrub = scrub
        self._answer: Future[str] | None = None
        self._began = 0.0

    async def state(self) -> str:
        now = time.monotonic()
        if self._answer is None or (self._answer.done() and now - self._began > FRESH):
            self._answer, self._began = Future(), now
            threading.Thread(
                target=self._ask, args=[self._answer], name=f"probe-{self._name}", daemon=True
            ).start()
        answer = self._answer
        done, _ = await asyncio.wait([asyncio.wrap_future(answer)], timeout=PATIENCE)
        if done:
            return answer.result()
        return f"no answer for {time.monotonic() - self._began:.0f} s"

    def _ask(self, answer: Future[str]) -> None:
        try:
            self._probe()
        except ProctorError as e:
            answer.set_result(self._scrub(str(e)) or type(e).__name__)
        except Exception as e:  # its text was not written for strangers: it goes to the log
            logger.error("probe %s failed: %s", self._name, self._scrub(f"{type(e).__name__}: {e}"))
            answer.set_result(f"failed unexpectedly ({type(e).__name__}); see the log")
        else:
            answer.set_result("ok")
