"""POST /webhooks/hub: who is it, what is it, keep it, say so.

A non-2xx answer makes the Hub send again, and many of them make it suspend the webhook
(https://huggingface.co/docs/hub/webhooks#delivery-and-retries): an authentic body is answered 202
or, if it could not be stored, 503.
"""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import dataclass
from typing import Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from proctor.core.errors import LedgerUnavailable
from proctor.flow.accept import Accepted, Arrival
from proctor.ports.clock import Clock
from proctor.web.answers import RETRY_AFTER, Refusal, cannot_store, too_many
from proctor.web.authentic import Gate, RawHeaders
from proctor.web.bounded_body import Bodies, Crowded, SenderGone, TooLarge, TooSlow
from proctor.web.scribe import WORDS, Scribe, Waiter
from proctor.web.throttle import Throttle, neighbourhood

logger = logging.getLogger(__name__)

HUB_PATH: Final = "/webhooks/hub"


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
        self, gate: Gate, limits: Limits, clock: Clock, scribe: Scribe, strangers: Throttle
    ) -> None:
        """`strangers` bounds what those without the secret may try, by address."""
        self._gate = gate
        self._limits = limits
        self._clock = clock
        self._scribe = scribe
        self._strangers = strangers
        self._bodies = Bodies(limits.body, limits.upload)

    async def answer(self, scope: Scope, receive: Receive) -> Kept | Response:
        """POST /webhooks/hub."""
        # Before a byte of the body is read: a stranger costs us no memory.
        if why := self._gate.refusal(scope["headers"], scope["query_string"]):
            return self._refuse(scope, why)
        try:
            body = await self._bodies.read(scope, receive)
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
        except Crowded:
            return Refusal(
                503,
                "too many large bodies come at once",
                f"send it again in {RETRY_AFTER} seconds; nothing of it was kept",
                headers={"retry-after": str(RETRY_AFTER)},
            )
        except SenderGone:
            return Response(status_code=499)  # nobody reads it: for the access log only
        kept: asyncio.Future[Accepted] = asyncio.get_running_loop().create_future()
        try:
            self.keep(scope["headers"], body, kept)
            return Kept(await kept)
        except LedgerUnavailable as e:
            return self.not_kept(e)
        finally:
            self._bodies.release(body)

    @property
    def longest(self) -> int:
        """Bytes of a body, at most."""
        return self._limits.body

    def admits(self, headers: RawHeaders) -> bool:
        """Whether these headers hold the secret, and nothing is odd about them."""
        return self._gate.refusal(headers, b"") is None

    def hold(self, body: bytes) -> None:
        """A body takes room from now on, as one that `answer` reads does; `release` it."""
        self._bodies.hold(body)

    def release(self, body: bytes) -> None:
        """The body needs no room any more."""
        self._bodies.release(body)

    def keep(self, headers: RawHeaders, body: bytes, waiter: Waiter) -> None:
        """Have an authentic delivery put on record, and `waiter` told."""
        arrival = Arrival(
            webhook_id=self._webhook_id(headers),
            headers=self._gate.kept(headers),
            body=body,
            received_at=self._clock.now(),
        )
        self._scribe.write(arrival, waiter)

    def not_kept(self, error: LedgerUnavailable) -> Response:
        """The answer to a delivery that could not be stored."""
        logger.error("a delivery was not stored: %s", self._gate.scrub(str(error)))
        return cannot_store()

    def _webhook_id(self, headers: RawHeaders) -> str | None:
        # https://huggingface.co/docs/hub/webhooks#delivery-and-retries
        for name, value in headers:
            if name == b"webhook-id" and not self._gate.holds_secret(value):
                text: str = value.decode("latin-1")
                return text or None
        return None

    def _refuse(self, scope: Scope, why: str) -> Response:
        client = scope.get("client")
        if wait := self._strangers.wait(neighbourhood(client[0]) if client else ""):
            return too_many(wait)
        logger.warning("a delivery was refused: %s", why)
        return Refusal(
            401,
            why,
            "set the webhook's secret on the Hub to one of PROCTOR_WEBHOOK_SECRETS; it comes "
            "in the header X-Webhook-Secret or as ?secret= in the address",
        )


class Kept:
    """202: it is on record."""

    status_code = 202

    def __init__(self, accepted: Accepted) -> None:
        """Says what it is on record as."""
        told = _told(accepted.delivery_id, accepted.event_id, WORDS[accepted.disposition])
        self.body = told
        self.raw_headers = [(b"content-length", b"%d" % len(told)), *_HEADERS]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        start = {"type": "http.response.start", "status": 202, "headers": self.raw_headers}
        await send(start)
        await send({"type": "http.response.body", "body": self.body})


def _told(delivery: str, event: str | None, disposition: str) -> bytes:
    ids = delivery + (event or "")
    if event and ids.isalnum() and ids.isascii():  # as ours are: nothing to quote
        text = f'{{"delivery":"{delivery}","event":"{event}","disposition":"{disposition}"}}'
        return text.encode("ascii")
    said = {"delivery": delivery, "event": event, "disposition": disposition}
    return json.dumps(said, separators=(",", ":")).encode("ascii")


_HEADERS: Final = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
