"""Reading a request body that may be too large, too slow, or never end."""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.types import Receive, Scope

LINGER: Final = 2.0
"""Seconds for which the rest of a refused body is read and thrown away."""

LINGER_BYTES: Final = 16 * 1024 * 1024

ROOM: Final = 32 * 1024 * 1024
"""Bytes of bodies in memory at a time, beyond which large ones are turned away."""

SMALL: Final = 64 * 1024
"""Bytes of a body that always finds room. The Hub's are a few kilobytes, and the number of
connections is bounded."""

_LOOKS: Final = 4
"""How often within its time a body is looked at, to see whether it takes too long."""


class TooLarge(Exception):
    """The body is larger than the limit, or says so. `rest` tells whether more of it comes."""

    def __init__(self, *, rest: bool) -> None:
        super().__init__("the body is too large")
        self.rest = rest


class TooSlow(Exception):
    """The body did not come in time."""


class SenderGone(Exception):
    """The sender hung up before its body was complete."""


class Crowded(Exception):
    """The bodies that are being taken fill the room for all of them."""


class Bodies:
    """Reads bodies of at most `limit` bytes, each within `timeout` seconds, and of at most `room`
    bytes together: a body counts from its first byte until it is released. Small ones are taken
    in any case.

    One timer watches all of them: one for each would cost as much as the reading, and nearly every
    body is there already. A sender is given up at most a quarter later than said.
    """

    def __init__(self, limit: int, timeout: float, room: int = ROOM) -> None:
        self._limit = limit
        self._timeout = timeout
        self._room = max(room, limit)
        self._held = 0
        self._since: dict[asyncio.Task[object], float] = {}
        self._late: set[asyncio.Task[object]] = set()
        self._watched = False

    async def read(self, scope: Scope, receive: Receive) -> bytes:
        """The whole body.

        Content-Length only ever refuses early: what counts is what comes. The bytes are as sent (no
        Content-Encoding is undone). Raises TooLarge, TooSlow, Crowded or SenderGone; otherwise
        `release` it when it is no longer held.
        """
        declared = _declared(scope)
        if declared > self._limit:
            raise TooLarge(rest=True)
        if declared > SMALL and self._held + declared > self._room:
            raise Crowded
        task = asyncio.current_task()
        assert task is not None, "a body is read by a task of the event loop"
        self._watch(task)
        try:
            return await self._read(receive)
        except asyncio.CancelledError:
            if task not in self._late or task.uncancel() > 0:  # it was someone else's wish (too)
                raise
            raise TooSlow from None
        finally:
            del self._since[task]
            self._late.discard(task)

    def hold(self, body: bytes) -> None:
        """A small body that was read elsewhere needs room; `release` it too."""
        self._held += len(body)

    def release(self, body: bytes) -> None:
        """The body needs no room any more."""
        self._held -= len(body)

    async def _read(self, receive: Receive) -> bytes:
        parts: list[bytes] = []
        size = 0
        try:
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise SenderGone
                part: bytes = message.get("body", b"")
                more: bool = message.get("more_body", False)
                size += len(part)
                self._held += len(part)
                if size > self._limit:
                    raise TooLarge(rest=more)
                if size > SMALL and self._held > self._room:
                    raise Crowded
                parts.append(part)
                if not more:
                    return b"".join(parts)
        except BaseException:
            self._held -= size
            raise

    def _watch(self, task: asyncio.Task[object]) -> None:
        loop = task.get_loop()
        self._since[task] = loop.time()
        if not self._watched:
            self._watched = True
            loop.call_later(self._timeout / _LOOKS, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        late = loop.time() - self._timeout
        for task, since in self._since.items():
            if since <= late and task not in self._late:
                self._late.add(task)
                task.cancel()
        self._watched = bool(self._since)
        if self._watched:
            loop.call_later(self._timeout / _LOOKS, self._look, loop)


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
