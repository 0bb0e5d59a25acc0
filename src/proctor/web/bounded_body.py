"""Reading a request body that may be too large, too slow, or never end."""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.types import Receive, Scope

LINGER: Final = 2.0
"""Seconds for which the rest of a refused body is read and thrown away."""

LINGER_BYTES: Final = 8 * 1024 * 1024


class TooLarge(Exception):
    """The body is larger than the limit, or says so. `rest` tells whether more of it comes."""

    def __init__(self, *, rest: bool) -> None:
        super().__init__("the body is too large")
        self.rest = rest


class TooSlow(Exception):
    """The body did not come in time."""


class SenderGone(Exception):
    """The sender hung up before its body was complete."""


async def read_body(scope: Scope, receive: Receive, *, limit: int, timeout: float) -> bytes:  # noqa: ASYNC109 - one bound on the whole body, where the error is named
    """The whole body: at most `limit` bytes, within `timeout` seconds.

    Content-Length only ever refuses early: what counts is what comes. The bytes are as sent (no
    Content-Encoding is undone). Raises TooLarge, TooSlow or SenderGone.
    """
    if _declared(scope) > limit:
        raise TooLarge(rest=True)
    try:
        async with asyncio.timeout(timeout):
            return await _read(receive, limit)
    except TimeoutError:
        raise TooSlow from None


async def _read(receive: Receive, limit: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise SenderGone
        part: bytes = message.get("body", b"")
        more: bool = message.get("more_body", False)
        size += len(part)
        if size > limit:
            raise TooLarge(rest=more)
        parts.append(part)
        if not more:
            return b"".join(parts)


async def drain(receive: Receive) -> None:
    """Throw away what is still coming, for a short while.

    Closing a connection with bytes unread makes the kernel reset it, and the sender then often
    loses the answer that tells what was wrong. So: answer first, drain, then close.
    """
    size = 0
    try:
        async with asyncio.timeout(LINGER):
            while size < LINGER_BYTES:
                message = await receive()
                size += len(message.get("body", b""))
                if message["type"] == "http.disconnect" or not message.get("more_body", False):
                    return
    except TimeoutError:
        return


def _declared(scope: Scope) -> int:
    for name, value in scope["headers"]:
        # The server refuses a Content-Length that is not a number; 20 digits are beyond any limit.
        if name == b"content-length" and value.isdigit():
            return int(value[:20])
    return 0
