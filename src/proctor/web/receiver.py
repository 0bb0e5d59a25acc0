"""POST /webhooks/hub: who is it, what is it, keep it, say so.

A non-2xx answer makes the Hub send again, and many of them make it suspend the webhook
(https://huggingface.co/docs/hub/webhooks#delivery-and-retries): an authentic body is answered 202
or, if it could not be stored, 503.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from proctor.core.errors import LedgerUnavailable
from proctor.core.event import Disposition
from proctor.flow.accept import Arrival
from proctor.ports.clock import Clock
from proctor.web.answers import JsonResponse, Refusal, cannot_store
from proctor.web.authentic import Gate
from proctor.web.bounded_body import SenderGone, TooLarge, TooSlow, read_body
from proctor.web.metrics import Metrics
from proctor.web.scribe import Scribe
from proctor.web.wake import Waker

logger = logging.getLogger(__name__)

_WORDS: Final = {
    Disposition.PENDING: "accepted",
    Disposition.DUPLICATE: "duplicate",
    Disposition.QUARANTINED: "quarantined",
}


@dataclass(frozen=True, slots=True)
class Limits:
    """`body` in bytes; `upload` and `store` in seconds: how long a sender may take for its body,
    and the ledger for the commit."""

    body: int = 1024 * 1024
    upload: float = 15.0
    store: float = 10.0


class Receiver:
    """Takes deliveries. Nothing is answered 202 before it is committed."""

    def __init__(
        self,
        gate: Gate,
        limits: Limits,
        clock: Clock,
        scribe: Scribe,
        waker: Waker,
        metrics: Metrics,
    ) -> None:
        self._gate = gate
        self._limits = limits
        self._clock = clock
        self._scribe = scribe
        self._waker = waker
        self._metrics = metrics

    async def answer(self, request: Request) -> Response:
        """POST /webhooks/hub."""
        scope = request.scope
        # Before a byte of the body is read: a stranger costs us no memory.
        if why := self._gate.refusal(scope["headers"], scope["query_string"]):
            logger.warning("a delivery was refused: %s", why)
            return Refusal(
                401,
                why,
                "set the webhook's secret on the Hub to one of PROCTOR_WEBHOOK_SECRETS; it comes "
                "in the header X-Webhook-Secret or as ?secret= in the address",
            )
        try:
            body = await read_body(
                scope, request.receive, limit=self._limits.body, timeout=self._limits.upload
            )
        except TooLarge as e:
            return Refusal(
                413,
                f"the body is larger than {self._limits.body} bytes",
                "send less, or raise the receiver's limit; webhook bodies are a few kilobytes",
                rest=e.rest,
            )
        except TooSlow:
            return Refusal(
                503,
                f"the body was not complete after {self._limits.upload:g} s",
                "send it again; nothing of it was kept",
            )
        except SenderGone:
            return Response(status_code=499)  # nobody reads it: for the access log only
        return await self._store(scope, body)

    async def _store(self, scope: Scope, body: bytes) -> Response:
        arrival = Arrival(
            webhook_id=_webhook_id(scope),
            headers=self._gate.kept(scope["headers"]),
            body=body,
            received_at=self._clock.now(),
        )
        try:
            accepted = await self._scribe.write(arrival, self._limits.store)
        except LedgerUnavailable as e:
            logger.error("a delivery was not stored: %s", self._gate.scrub(str(e)))
            return cannot_store()
        if accepted.step is not None:
            self._waker.wake(accepted.step)
        word = _WORDS[accepted.disposition]
        self._metrics.deliveries.labels(word).inc()
        return JsonResponse(
            {"delivery": accepted.delivery_id, "event": accepted.event_id, "disposition": word},
            202,
        )


def _webhook_id(scope: Scope) -> str | None:
    # https://huggingface.co/docs/hub/webhooks#delivery-and-retries
    for name, value in scope["headers"]:
        if name == b"webhook-id":
            text: str = value.decode("latin-1")
            return text or None
    return None
