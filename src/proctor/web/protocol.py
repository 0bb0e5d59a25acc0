"""How we speak HTTP: uvicorn's httptools protocol, with the bounds that it lacks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

Headers: TypeAlias = Sequence[tuple[bytes, bytes]]

HEADERS_WITHIN: Final = 10.0
"""Seconds from connecting to the end of the first request's headers."""

IDLE: Final = 20
"""Seconds that a connection may be silent between two requests."""

HEADER_BYTES: Final = 64 * 1024
"""Address and headers of a request together; also what may come between two pieces of a body."""

_HELD: Final = 16 * 1024  # bytes


class Unwanted(Exception):
    """A request that HTTP allows and we do not serve. The parser makes it a 400."""


class BoundedProtocol(HttpToolsProtocol):
    """Hangs up on those who connect and do not ask, bounds the headers (uvicorn itself would wait
    and read for ever), and never logs a query."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # asyncio says BaseTransport; a server gets a Transport
        self._line = _Corked(transport, self.loop.call_soon)
        super().connection_made(self._line)
        # uvicorn's `access_log=False` only unhooks the handlers of its logger: whoever hooks one up
        # again gets the query, and with it the secret.
        self.access_log = False
        self._asking_since: float | None = self.loop.time()
        self._asked = self._asking = False
        self._beside_body = 0  # bytes since the last piece of a body, or since a request began
        self._chunk = 0
        self._watch = self.loop.call_later(HEADERS_WITHIN, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        self._watch.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        # Whatever is neither part of a body nor the end of a message is kept by the parser.
        self._chunk = len(data)
        self._beside_body += self._chunk
        super().data_received(data)
        if self._beside_body > HEADER_BYTES and not self.transport.is_closing():
            self.send_400_response(f"more than {HEADER_BYTES} bytes of headers")

    def on_message_begin(self) -> None:
        self._asking_since = self.loop.time()
        self._asking = True
        self._beside_body = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        if self._beside_body + self._chunk > HEADER_BYTES:  # else they cannot be too long
            size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
            if size > HEADER_BYTES:
                raise Unwanted("too many headers")
        # The parser takes the body of such a request for the other protocol: it would be lost.
        if self.parser.should_upgrade() and any(
            name in (b"content-length", b"transfer-encoding") for name, _ in self.headers
        ):
            raise Unwanted("a body to be read in another protocol")
        self.headers_are_in()
        super().on_headers_complete()
        self.headers = []  # what follows a body is not for the one who reads the headers

    def headers_are_in(self) -> None:
        """The headers of a request are read: no time is counted until its answer."""
        self._asking_since, self._asked = None, True

    def on_body(self, body: bytes) -> None:
        self._beside_body = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._asking = False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        if not self.pipeline:
            self._asking_since = self.loop.time()
        super().on_response_complete()

    def between_requests(self) -> bool:
        """Whether what comes next begins a request, and no other waits for its answer."""
        return not self._asking and (self.cycle is None or self.cycle.response_complete)

    def too_many(self) -> bool:
        """Whether there are more connections than may be answered."""
        limit = self.limit_concurrency
        return limit is not None and max(len(self.connections), len(self.tasks)) >= limit

    def send_whole(self, status: int, headers: Headers, body: bytes, *, last: bool) -> None:
        """Answer a request of which uvicorn knows nothing; after the `last` one, hang up."""
        told = [STATUS_LINE[status]]
        for name, value in (*self.server_state.default_headers, *headers):
            told += (name, b": ", value, b"\r\n")
        told += (b"connection: close\r\n\r\n" if last else b"\r\n", body)
        self._line.send(b"".join(told))
        self.server_state.total_requests += 1
        self._asking = False
        self._asking_since = self.loop.time()
        if last:
            self.transport.close()

    def _look(self) -> None:
        """Whether the headers of the next request are overdue, or none comes. Uvicorn counts any
        byte as a request, so trickling them would keep a connection for ever."""
        since, wait = self._asking_since, HEADERS_WITHIN
        if self._asked:
            wait = HEADERS_WITHIN + IDLE if self._asking else IDLE
        left = wait if since is None else since + wait - self.loop.time()
        if left > 0:
            self._watch = self.loop.call_later(left, self._look)
        elif not self.transport.is_closing():
            self.transport.close()


class _Corked(asyncio.Transport):
    """A transport that sends what is written within one turn of the event loop at once: uvicorn
    writes the head and the body of an answer apart, and a system call costs more than either."""

    def __init__(self, transport: asyncio.Transport, soon: Callable[..., object]) -> None:
        super().__init__()
        self._transport = transport
        self._soon = soon
        self._held: list[bytes | bytearray | memoryview[Any]] = []

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """Send `data` in this turn."""
        if not self._held:
            self._soon(self._flush)
        self._held.append(data)
        if len(data) > _HELD:  # the transport itself tells those who write too much to wait
            self._flush()

    def send(self, data: bytes) -> None:
        """Send `data` now."""
        self._flush()
        self._transport.write(data)

    def _flush(self) -> None:
        held, self._held = self._held, []
        if held:
            self._transport.write(b"".join(held))

    def close(self) -> None:
        """Close once everything is sent."""
        self._flush()
        self._transport.close()

    def is_closing(self) -> bool:
        """Whether the connection is closed, or about to be."""
        return self._transport.is_closing()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """See asyncio."""
        return self._transport.get_extra_info(name, default)

    def pause_reading(self) -> None:
        """See asyncio."""
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """See asyncio."""
        self._transport.resume_reading()
