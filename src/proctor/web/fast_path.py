"""The fast path of a delivery that comes whole: headers and body in one piece, as nearly all do.

An ASGI request costs a task, a scope and a message for each part, which together take longer than
putting the delivery on record. Such a delivery goes from the parser to the scribe by itself, and
its answer straight to the connection. Whatever is out of the ordinary (a body in pieces, a query, a
wrong secret, a sender that asks before it has its answer, too many connections) takes the ordinary
way, and what is answered is the same: `tests/web/test_fast_path.py` sends each both ways.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final, Protocol

from proctor.core.errors import LedgerUnavailable
from proctor.flow.accept import Accepted
from proctor.web.access import Access
from proctor.web.authentic import RawHeaders
from proctor.web.protocol import HEADER_BYTES, BoundedProtocol, Headers, Unwanted
from proctor.web.receiver import HUB_PATH, Kept

_BEGIN: Final = b"POST " + HUB_PATH.encode() + b" HTTP/1.1\r\n"
_END: Final = b"\r\n\r\n"

_UNUSUAL: Final = frozenset({b"transfer-encoding", b"expect", b"upgrade"})
"""Headers that change how a request is read."""


class Answer(Protocol):
    """What is sent back: Starlette's `Response`, or less."""

    status_code: int

    @property
    def raw_headers(self) -> Headers: ...
    @property
    def body(self) -> bytes | memoryview: ...


class Desk:
    """Where deliveries that came whole are handed in."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._receiver = access.receiver

    def admits(self, headers: RawHeaders, length: int) -> bool:
        """Whether the sender has the secret, and the body is not too long. Otherwise it is answered
        elsewhere."""
        return length <= self._receiver.longest and self._receiver.admits(headers)

    def take(self, headers: RawHeaders, body: bytes, answer: Callable[[Answer], None]) -> None:
        """Have a delivery put on record. `answer` is called once: after the commit, or when it will
        not be stored, which may be before this returns."""
        waiting = _Waiting(self._access, body, answer)
        try:
            self._receiver.keep(headers, body, waiting)
        except Exception as e:  # nothing was stored
            error = e
            waiting.end(lambda: self._access.failed(error))


class _Waiting:
    """One who waits for its commit; see `scribe.Waiter`."""

    __slots__ = ("_access", "_answer", "_began", "_body")

    def __init__(self, access: Access, body: bytes, answer: Callable[[Answer], None]) -> None:
        self._access, self._body = access, body
        self._answer: Callable[[Answer], None] | None = answer
        self._began = time.perf_counter()
        access.receiver.hold(body)

    def done(self) -> bool:
        """It was answered."""
        return self._answer is None

    def set_result(self, accepted: Accepted) -> None:
        """It is on record."""
        self.end(lambda: Kept(accepted))

    def set_exception(self, error: LedgerUnavailable) -> None:
        """It is not."""
        self.end(lambda: self._access.receiver.not_kept(error))

    def end(self, says: Callable[[], Answer]) -> None:
        """Answer."""
        answer, self._answer = self._answer, None
        if answer is None:
            return
        self._access.receiver.release(self._body)
        # No error may leave this: the others of its batch wait for their answers too.
        try:
            answered = says()
        except Exception as e:
            answered = self._access.failed(e)
        try:
            answer(answered)
        except Exception as e:
            self._access.failed(e)
        self._access.delivered(answered.status_code, time.perf_counter() - self._began)


class FastProtocol(BoundedProtocol):
    """`BoundedProtocol` with the fast path. Made by `speaking`."""

    desk: Desk

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._piece: bytes | None = None  # what came, while it may be a delivery that came whole
        self._whole = False  # it is one
        self._parts: list[bytes] = []  # of its body
        self._waits = False  # one waits for its answer
        self._after: list[bytes] = []  # what its sender sent without waiting for that
        self._keeps = True  # its sender may ask again
        self._last = False  # no further request is wanted

    def data_received(self, data: bytes) -> None:
        if self._waits:
            self.flow.pause_reading()
            self._after.append(data)
            return
        if (
            data.startswith(_BEGIN)
            and len(data) <= HEADER_BYTES
            and self.between_requests()
            and not self.flow.write_paused  # who does not read its answers is made to wait
        ):
            self._piece = data
            super().data_received(data)
            self._piece = None
        else:
            super().data_received(data)

    def on_message_begin(self) -> None:
        if self._whole:  # only where the parser and we disagree on where its body ends
            raise Unwanted("a request within another")
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        piece, self._piece = self._piece, None  # only the first request in it may be all of it
        if piece is None or not self._comes_whole(piece):
            super().on_headers_complete()
            return
        self._whole = True
        self._keeps = self.parser.should_keep_alive()
        self.headers_are_in()

    def on_body(self, body: bytes) -> None:
        if self._whole:
            self._parts.append(body)
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        if not self._whole:
            super().on_message_complete()
            return
        parts, self._parts = self._parts, []
        self._waits = True
        self.desk.take(self.headers, b"".join(parts), self._answer)

    def shutdown(self) -> None:
        """Close once what was asked is answered."""
        self._last = True
        if not self._waits:
            super().shutdown()

    def _comes_whole(self, piece: bytes) -> bool:
        """Whether the request that `piece` begins with is all that it holds, and as usual."""
        length = -1
        for name, value in self.headers:
            if name in _UNUSUAL:
                return False
            if name == b"content-length":
                length = int(value) if value.isdigit() and len(value) < 6 else -1
        return (
            length >= 0
            and piece.find(_END) + len(_END) + length == len(piece)
            and not self.too_many()
            and self.desk.admits(self.headers, length)
        )

    def _answer(self, answer: Answer) -> None:
        self._waits = self._whole = False
        if self.transport.is_closing():  # its sender is gone
            return
        last = self._last or not self._keeps
        try:
            self.send_whole(answer.status_code, answer.raw_headers, bytes(answer.body), last=last)
        except Exception:
            self.transport.close()  # it would wait for ever: no time is counted until the answer
            raise
        if self._after and not last:
            after, self._after = b"".join(self._after), []
            self.flow.resume_reading()
            # Not at once: this may be within the reading of what came before.
            self.loop.call_soon(self._go_on, after)

    def _go_on(self, after: bytes) -> None:
        if not self.transport.is_closing():
            self.data_received(after)


def speaking(desk: Desk) -> type[FastProtocol]:
    """The protocol of a server whose deliveries are handed in at `desk`."""
    return type("Speaking", (FastProtocol,), {"desk": desk})
