"""Those who are slow on purpose: 500 of them do not stop an honest sender."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.web.conftest import SECRET, Site, read_all, read_answer, sample, wait_until

from proctor.web.receiver import Limits

Start = Callable[..., Site]
PUSH = sample("repo.content-push-without-webhook-id")
SLOW = 500

HEADERS = f"POST /webhooks/hub HTTP/1.1\r\nHost: x\r\nX-Webhook-Secret: {SECRET}\r\n"
BODY = HEADERS + f"Content-Length: {len(PUSH)}\r\n\r\n"


@pytest.fixture
def url(tmp_path: Path) -> str:
    """The database does not matter here."""
    return f"sqlite:///{tmp_path}/ledger.db"


KINDS = [
    b"",  # connects, and says nothing
    HEADERS.encode(),  # never comes to the end of its headers
    BODY.encode() + PUSH[:100],  # never comes to the end of its body
    b"POST /webhooks/hub HTTP/1.1\r\nContent-Length: 9999\r\n\r\n{",  # without the secret
    HEADERS.encode() + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n",  # in endless pieces
]


@pytest.fixture
def besieged(start: Start, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A site with slow senders of every kind, and none of them is hung up on for a minute."""
    monkeypatch.setattr("proctor.web.protocol.HEADERS_WITHIN", 60)
    site = start(limits=Limits(upload=60))
    with ExitStack() as stack:
        for n in range(SLOW):
            connection = socket.create_connection(("127.0.0.1", site.port), timeout=60)
            stack.enter_context(connection).sendall(KINDS[n % len(KINDS)])
        yield site


def test_an_honest_sender_is_served_at_once(besieged: Site) -> None:
    seconds = []
    for n in range(30):
        began = time.monotonic()
        assert besieged.post(PUSH, Webhook_Id=f"w{n}").status == 202
        seconds.append(time.monotonic() - began)
    assert max(seconds) < 15  # so long that it waited for none of the slow ones
    assert besieged.ask("GET", "/healthz").status == 200
    with besieged.ledger.view() as view:
        assert len(view.deliveries(limit=1000)) == 30


def test_no_one_stays_for_ever(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proctor.web.protocol.HEADERS_WITHIN", 1.5)
    monkeypatch.setattr("proctor.web.protocol.IDLE", 1.5)
    site = start(limits=Limits(upload=0.5))
    kinds = [b"", b"\r\n" * 40, HEADERS.encode(), (BODY + "x" * 40).encode()]
    with ExitStack() as stack:
        connections = [
            stack.enter_context(socket.create_connection(("127.0.0.1", site.port), timeout=60))
            for _ in kinds
        ]
        done = threading.Event()

        def trickle() -> None:
            while not done.wait(0.05):
                for connection, kind in zip(connections, kinds, strict=True):
                    try:
                        connection.send(kind[:1] or b"\r")
                    except OSError:
                        continue

        for connection, kind in zip(connections, kinds, strict=True):
            connection.sendall(kind)
        thread = threading.Thread(target=trickle)
        thread.start()
        try:
            began = time.monotonic()
            answers = [read_all(connection) for connection in connections]
            assert time.monotonic() - began < 30
        finally:
            done.set()
            thread.join()
    assert [a[9:12] for a in answers] == [b"", b"", b"", b"503"]


def test_a_second_request_has_to_come_to_an_end_too(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trickling the headers of the next request does not keep a connection."""
    monkeypatch.setattr("proctor.web.protocol.HEADERS_WITHIN", 1.0)
    monkeypatch.setattr("proctor.web.protocol.IDLE", 0.3)
    site = start()
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", site.port), timeout=60) as connection:
        connection.sendall(BODY.encode() + PUSH)
        assert json.loads(read_answer(connection).body)["disposition"] == "accepted"
        with pytest.raises(OSError, match=r"reset|pipe"):
            for byte in (HEADERS + "X-Slow: " + "a" * 1000).encode():
                connection.send(bytes([byte]))
                time.sleep(0.05)
    assert 0.5 < time.monotonic() - began < 30  # all of it would take 50


def test_who_is_slow_at_work_is_not_hung_up_on(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bound on headers does not end a body that comes in time."""
    monkeypatch.setattr("proctor.web.protocol.HEADERS_WITHIN", 1.0)
    monkeypatch.setattr("proctor.web.protocol.IDLE", 1.0)
    site = start()
    with socket.create_connection(("127.0.0.1", site.port), timeout=60) as connection:
        for pause in (1.3, 2.3):  # longer than the bound; than both, for one that comes later
            connection.sendall(BODY.encode() + PUSH[:100])
            time.sleep(pause)
            connection.sendall(PUSH[100:])
            assert read_answer(connection).status == 202


def test_too_many_at_once_are_told_to_come_back(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proctor.web.serve.CONNECTIONS", 20)
    site = start()
    with ExitStack() as stack:
        for _ in range(30):
            stack.enter_context(socket.create_connection(("127.0.0.1", site.port), timeout=60))
        wait_until(lambda: site.post(PUSH).status == 503)
    wait_until(lambda: site.post(PUSH).status == 202)


MEGABYTE = 1024 * 1024


@pytest.mark.parametrize("declared", [True, False], ids=["declared", "chunked"])
def test_large_bodies_at_once_fill_no_more_than_their_room(start: Start, declared: bool) -> None:
    """Each may be as large as the limit; together they would be 900 times that."""
    site = start(limits=Limits(upload=300))
    part = b"x" * (MEGABYTE - 10)
    piece = f"{len(part):x}\r\n".encode() + part
    kind = (
        f"Content-Length: {MEGABYTE}\r\n\r\n" if declared else "Transfer-Encoding: chunked\r\n\r\n"
    )
    opening = HEADERS.encode() + kind.encode() + (part if declared else piece)
    with ExitStack() as stack:
        waiting = []
        for _ in range(40):  # all but the last ten bytes of each
            connection = socket.create_connection(("127.0.0.1", site.port), timeout=60)
            waiting.append(stack.enter_context(connection))
            connection.sendall(opening)
        wait_until(lambda: _refused(waiting) >= 8)
        time.sleep(0.5)  # for more of them, if there are
        assert _refused(waiting) < 20
        assert site.post(PUSH).status == 202, "the Hub's are small, and taken in any case"
        for connection in waiting:
            connection.close()
        large = b"[" + b" " * (MEGABYTE - 9) + b"]"
        wait_until(lambda: site.post(large).status == 202)
        assert {site.post(large).status for _ in range(40)} == {202}, "each gives its room back"


def _refused(connections: Sequence[socket.socket]) -> int:
    """How many of them were answered 503 by now."""
    return sum(_answer(connection).startswith(b"HTTP/1.1 503") for connection in connections)


def _answer(connection: socket.socket) -> bytes:
    """How the answer begins that is there by now."""
    connection.setblocking(False)
    try:
        return connection.recv(100, socket.MSG_PEEK)
    except BlockingIOError:
        return b""
