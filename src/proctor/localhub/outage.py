"""Inflicts the faults of ``faults`` on a request, below HTTP where needed."""

import asyncio
import contextlib
import json
import socket
import struct
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from proctor.localhub.faults import REDIRECTS, Rule
from proctor.localhub.inlet import Inlet


async def inflict(
    rule: Rule, target: str, app: ASGIApp, scope: Scope, receive: Receive, send: Send
) -> None:
    """Answer, or fail to answer, one request as the rule says. ``target`` is the path as sent,
    with its query."""
    if rule.fault.isdigit():
        # A client still writing its body would see a broken pipe instead of the answer.
        await Inlet(receive).drain()
        await _answer(rule, target, send)
    elif rule.fault == "hang":
        await _disconnected(receive, rule.hang_s)
        await _reset(receive)
    elif rule.fault == "reset":
        await _reset(receive)
    elif rule.fault == "lost_answer":
        await app(scope, receive, _swallow)
        await _reset(receive)
    else:
        await _truncate(app, scope, receive, send)


async def _swallow(message: Message) -> None:
    """The answer that never arrives."""


async def _answer(rule: Rule, target: str, send: Send) -> None:
    body = json.dumps({"error": f"A fault was asked for: {rule.fault}"}).encode()
    headers = {"Content-Type": "application/json", "Content-Length": str(len(body))}
    if rule.fault in REDIRECTS:
        headers["Location"] = rule.location or target
    if rule.error_code is not None:
        headers["X-Error-Code"] = rule.error_code
    if rule.retry_after_s is not None:
        headers["Retry-After"] = str(rule.retry_after_s)
    if rule.fault == "429":
        # The client waits for as long as the ``t`` of this header says.
        headers["RateLimit"] = f'"api";r=0;t={rule.retry_after_s or 1}'
        headers["RateLimit-Policy"] = '"fixed window";"api";q=1000;w=300'
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": int(rule.fault), "headers": raw})
    await send({"type": "http.response.body", "body": body})


async def _truncate(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    left = 0

    async def half(message: Message) -> None:
        nonlocal left
        if message["type"] == "http.response.start":
            lengths = [v for k, v in message["headers"] if k.lower() == b"content-length"]
            left = int(lengths[0]) // 2 if lengths else 0
            await send(message)
        elif left > 0:
            body = message.get("body", b"")[:left]
            left -= len(body)
            await send({"type": "http.response.body", "body": body, "more_body": True})

    await app(scope, receive, half)
    # Time for what was written to leave: a reset throws away what still waits.
    await asyncio.sleep(0.05)
    await _reset(receive)


async def _reset(receive: Receive) -> None:
    """Drop the TCP connection with a reset.

    ASGI has no word for it, so this reaches for uvicorn's transport behind ``receive``. Under
    another server the connection is closed by the error that this raises instead.
    """
    transport: Any = getattr(getattr(receive, "__self__", None), "transport", None)
    if transport is None:
        raise ConnectionAbortedError("a fault asked for a reset")
    plug = transport.get_extra_info("socket")
    if plug is not None:
        plug.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
    # Uvicorn must notice before we return, or it complains that no answer was sent.
    await _disconnected(receive, 5.0)


async def _disconnected(receive: Receive, timeout_s: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            while (await receive())["type"] != "http.disconnect":
                pass
