"""What is answered: JSON, also where something is wrong, and then with the remedy."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from proctor.core.evidence import Json
from proctor.web.bounded_body import drain

RETRY_AFTER: Final = 10
"""Seconds after which a sender that was told 503 may well try again."""


class JsonResponse(Response):
    """A JSON body, never cached."""

    media_type = "application/json"

    def __init__(
        self, content: Json, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(
            json.dumps(content, separators=(",", ":")).encode(),
            status,
            {"cache-control": "no-store", **(headers or {})},
        )


class Refusal(JsonResponse):
    """An answer to a request whose body was not (all) read: says so at once, lets the `rest` of the
    body (if there is one) run into the void for a short while, and closes the connection."""

    def __init__(
        self,
        status: int,
        error: str,
        remedy: str,
        *,
        rest: bool = True,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        said = {"error": error, "remedy": remedy}
        super().__init__(said, status, {"connection": "close", **(headers or {})})
        self._rest = rest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def answer(message: Message) -> None:
            if message["type"] != "http.response.body" or not self._rest:
                await send(message)
                return
            # The client has its whole answer by Content-Length; for the server it is still open,
            # so that it goes on reading.
            await send({**message, "more_body": True})
            await drain(receive)
            await send({"type": "http.response.body", "body": b"", "more_body": False})

        await super().__call__(scope, receive, answer)


def problem(
    status: int, error: str, remedy: str, headers: Mapping[str, str] | None = None
) -> JsonResponse:
    """An error as JSON: what is wrong, and what to do about it."""
    return JsonResponse({"error": error, "remedy": remedy}, status, headers)


def cannot_store() -> JsonResponse:
    """503: nothing was kept; the sender has to send again."""
    return problem(
        503,
        "the delivery cannot be stored now",
        f"send it again in {RETRY_AFTER} seconds; nothing of it was kept",
        {"retry-after": str(RETRY_AFTER)},
    )


def too_many(wait: float) -> Refusal:
    """429, to someone without the secret: the next try may come after `wait` seconds."""
    seconds = math.ceil(wait)
    return Refusal(
        429,
        "too many requests without a right secret came from this address",
        f"try again in {seconds} s, with the webhook's secret",
        headers={"retry-after": str(seconds)},
    )


async def http_error(request: Request, error: Exception) -> Response:
    """Starlette's own errors (404, 405, ...) as JSON. The address is not repeated: its query may
    hold the secret."""
    if not isinstance(error, HTTPException):  # pragma: no cover - registered for this class only
        raise error
    remedies = {
        404: "webhooks go to POST /webhooks/hub",
        405: "use one of the methods named in the Allow header",
    }
    words = {404: "there is nothing at this address", 405: "this address takes other methods"}
    return problem(
        error.status_code,
        words.get(error.status_code, error.detail),
        remedies.get(error.status_code, "mend the request and send it again"),
        error.headers,
    )
