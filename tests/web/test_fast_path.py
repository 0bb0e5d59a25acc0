"""The fast path answers and records as the ordinary way does, and leaves it what is unusual."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.web.conftest import (
    SECRET,
    Answer,
    Site,
    Troubled,
    read_all,
    read_answer,
    sample,
    wait_until,
    waiting_for,
)

from proctor.core.errors import LedgerUnavailable
from proctor.web import fast_path
from proctor.web.fast_path import Desk, FastProtocol
from proctor.web.protocol import BoundedProtocol
from proctor.web.receiver import Receiver

Start = Callable[..., Site]
PUSH = sample("repo.content-push")
HEADERS = (
    ("Host", "proctor.test"),
    ("Content-Type", "application/json"),
    ("X-Webhook-Secret", SECRET),
    ("User-Agent", "hub"),
)


def request(
    body: bytes = PUSH,
    *more: tuple[str, str],
    headers: Iterable[tuple[str, str]] = HEADERS,
    line: str = "POST /webhooks/hub HTTP/1.1",
    length: str | None = None,
) -> bytes:
    """A delivery as the Hub sends it."""
    told = [*headers, *more, ("Content-Length", length or str(len(body)))]
    lines = [line, *(f"{name}: {value}" for name, value in told)]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def send(site: Site, *pieces: bytes) -> Answer:
    """Each piece in a segment of its own; the answer."""
    with socket.create_connection(("127.0.0.1", site.port), timeout=10) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for number, piece in enumerate(pieces):
            if number:
                time.sleep(0.05)
            connection.sendall(piece)
        return read_answer(connection)


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The bodies that went the fast way."""
    bodies: list[bytes] = []
    take = Desk.take

    def noted(desk: Desk, headers: Any, body: bytes, answer: Any) -> None:
        bodies.append(body)
        take(desk, headers, body, answer)

    monkeypatch.setattr(Desk, "take", noted)
    return bodies


def recorded(site: Site) -> Sequence[tuple[Any, ...]]:
    """What is on record of each delivery, but for ids and times."""
    with site.ledger.view() as view:
        found = view.deliveries()
        events = {event.id: event for event in view.events()}
    return [
        (
            delivery.webhook_id,
            sorted(delivery.headers),
            delivery.body,
            delivery.disposition,
            (event := events[delivery.event_id or ""]).identity,
            event.repo_name,
        )
        for delivery in found
    ]


def told(answer: Answer) -> tuple[int, Mapping[str, str], Any]:
    """An answer, but for what differs from one to the next."""
    body = answer.json()
    ids = {name: bool(body.pop(name)) for name in ("delivery", "event") if name in body}
    headers = {name: value for name, value in answer.headers.items() if name != "date"}
    assert "date" in answer.headers
    return answer.status, headers, (body, ids)


def test_whole_and_in_pieces_it_is_the_same(site: Site, taken: list[bytes]) -> None:
    first, again = (request(PUSH, ("Webhook-Id", name)) for name in ("one", "two"))
    whole = send(site, first)
    assert taken == [PUSH]
    pieces = send(site, again[:200], again[200:])
    assert taken == [PUSH]
    assert told(whole) == told(pieces)
    assert whole.status == 202
    of_pieces, of_whole = recorded(site)
    assert (of_pieces[0], of_whole[0]) == ("two", "one")
    assert sorted(set(of_whole[1]) - set(of_pieces[1])) == [("webhook-id", "one")]
    assert (*of_pieces[2:4], of_pieces[5]) == (*of_whole[2:4], of_whole[5])


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(1, len(request()) - 1), number=st.integers(0, 10**12))
def test_wherever_it_is_cut_it_is_on_record(site: Site, at: int, number: int) -> None:
    asked = request(PUSH, ("Webhook-Id", f"{number:013d}"))
    answer = send(site, asked[:at], asked[at:])
    assert answer.status == 202
    with site.ledger.view() as view:
        (newest,) = view.deliveries(limit=1)
    assert (newest.id, newest.body) == (answer.json()["delivery"], PUSH)


@pytest.mark.parametrize(
    "asked",
    [
        request(headers=HEADERS[:2]),
        request(headers=[*HEADERS[:2], ("X-Webhook-Secret", "wrong")]),
        request(headers=[*HEADERS, HEADERS[2]]),
        request(line=f"POST /webhooks/hub?secret={SECRET} HTTP/1.1"),
        request(line="POST /webhooks/hub/ HTTP/1.1"),
        request(line="POST /webhooks/hub HTTP/1.0"),
        request(line="PUT /webhooks/hub HTTP/1.1"),
        request(b"", ("Transfer-Encoding", "chunked"), headers=HEADERS),
        request(PUSH, ("Expect", "100-continue")),
        request(PUSH, ("Upgrade", "h2c"), ("Connection", "upgrade")),
        request(PUSH, length="+7"),
        request(PUSH, length="0x10"),
        request(PUSH, ("Content-Length", str(len(PUSH)))),
        request() + request(),
        request() + b"\r\n",
        request(b"x" * 100_000),
        request(PUSH, *[(f"X-{n}", "y" * 500) for n in range(140)]),
    ],
    ids=lambda asked: asked[:40].decode(),
)
def test_what_is_unusual_goes_the_ordinary_way(
    site: Site, taken: list[bytes], asked: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_connection(("127.0.0.1", site.port), timeout=10) as connection:
        connection.sendall(asked)
        answer = read_answer(connection)
    assert taken == []
    monkeypatch.setattr(fast_path, "_BEGIN", b"nothing begins so")
    with socket.create_connection(("127.0.0.1", site.port), timeout=10) as connection:
        connection.sendall(asked)
        assert read_answer(connection).status == answer.status


def test_a_connection_may_be_used_again(site: Site, taken: list[bytes]) -> None:
    with socket.create_connection(("127.0.0.1", site.port), timeout=10) as connection:
        for number in range(6):
            asked = request(PUSH, ("Webhook-Id", str(number)))
            if number % 2:
                connection.sendall(asked)
            else:
                connection.sendall(asked[:100])
                time.sleep(0.05)
                connection.sendall(asked[100:])
            answer = read_answer(connection)
            assert (answer.status, answer.json()["disposition"]) == (202, "accepted")
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert read_answer(connection).status == 200
    assert len(taken) == 3


def test_who_does_not_want_to_ask_again_is_hung_up_on(site: Site, taken: list[bytes]) -> None:
    answer = site.raw(request(PUSH, ("Connection", "close")))
    assert answer.startswith(b"HTTP/1.1 202 ") and b"connection: close\r\n" in answer
    assert len(taken) == 1


def test_who_asks_before_the_answer_gets_both_in_order(
    troubled: tuple[Site, Troubled], taken: list[bytes]
) -> None:
    site, ledger = troubled
    release = threading.Event()
    ledger.before = waiting_for(release)
    with socket.create_connection(("127.0.0.1", site.port), timeout=10) as connection:
        connection.sendall(request(PUSH, ("Webhook-Id", "first")))
        wait_until(lambda: ledger.transactions == 1)
        connection.sendall(
            request(b"not JSON") + b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /no"
        )
        time.sleep(0.1)
        connection.sendall(b"thing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        release.set()
        answers = read_all(connection)
    assert taken == [PUSH]
    statuses = [part[:3] for part in answers.split(b"HTTP/1.1 ")[1:]]
    assert statuses == [b"202", b"202", b"200", b"404"]
    assert answers.index(b"accepted") < answers.index(b"quarantined")


def test_of_two_in_one_piece_neither_passes_the_other(site: Site, taken: list[bytes]) -> None:
    """Also where the second is as long as the first would have to be."""
    first = request(PUSH, ("Webhook-Id", "one"))
    told = ["POST /elsewhere HTTP/1.1", "Host: x", f"X-Webhook-Secret: {SECRET}"]
    head = "\r\n".join([*told, "Connection: close", "Content-Length: "]).encode()
    behind = first.index(b"\r\n\r\n") + 4
    length = len(first) - behind + len(head) + len("0000\r\n\r\n")
    second = head + b"%04d\r\n\r\n" % length
    assert len(first + second) == behind + length
    with socket.create_connection(("127.0.0.1", site.port), timeout=10) as connection:
        connection.sendall(first + second)
        time.sleep(0.2)
        connection.sendall(b"x" * length)  # the body of the second, which is longer than the piece
        answers = read_all(connection)
    assert [part[:3] for part in answers.split(b"HTTP/1.1 ")[1:]] == [b"202", b"404"]
    assert taken == []


def test_who_does_not_read_its_answers_waits(
    site: Site, taken: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    protocols: list[FastProtocol] = []
    made = FastProtocol.connection_made

    def noted(protocol: FastProtocol, transport: Any) -> None:
        protocols.append(protocol)
        made(protocol, transport)

    monkeypatch.setattr(FastProtocol, "connection_made", noted)
    with socket.create_connection(("127.0.0.1", site.port), timeout=10) as connection:
        wait_until(lambda: bool(protocols))
        (protocol,) = protocols
        protocol.loop.call_soon_threadsafe(protocol.pause_writing)  # as its transport would
        wait_until(lambda: protocol.flow.write_paused)
        connection.sendall(request())
        connection.settimeout(0.3)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        connection.settimeout(10)
        protocol.loop.call_soon_threadsafe(protocol.resume_writing)
        assert read_answer(connection).status == 202
    assert taken == []


def test_a_sender_that_hangs_up_is_on_record_and_costs_nobody_else(
    troubled: tuple[Site, Troubled], taken: list[bytes]
) -> None:
    site, ledger = troubled
    release = threading.Event()
    ledger.before = waiting_for(release)
    gone = socket.create_connection(("127.0.0.1", site.port), timeout=10)
    gone.sendall(request(PUSH, ("Webhook-Id", "gone")))
    wait_until(lambda: ledger.transactions == 1)
    gone.close()
    with socket.create_connection(("127.0.0.1", site.port), timeout=10) as connection:
        connection.sendall(request(PUSH, ("Webhook-Id", "stays")))
        time.sleep(0.1)
        release.set()
        assert read_answer(connection).status == 202
    assert [row[0] for row in recorded(site)] == ["stays", "gone"]
    assert len(taken) == 2


@pytest.mark.parametrize("whole", [True, False])
def test_what_cannot_be_stored_is_told_the_same(
    troubled: tuple[Site, Troubled], taken: list[bytes], whole: bool
) -> None:
    site, ledger = troubled

    def fail() -> None:
        raise LedgerUnavailable("disk full")

    ledger.before = fail
    asked = request()
    answer = send(site, asked) if whole else send(site, asked[:50], asked[50:])
    assert (answer.status, answer.headers["retry-after"]) == (503, "10")
    assert set(answer.json()) == {"error", "remedy"}
    assert len(taken) == whole
    ledger.before = lambda: None
    assert send(site, asked).status == 202


def test_what_nobody_foresaw_is_answered_503(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with monkeypatch.context() as broken:

        def keep(*_: object) -> None:
            raise RuntimeError(f"a bug that knows {SECRET}")

        broken.setattr(Receiver, "keep", keep)
        assert send(site, request()).status == 503
    assert "a bug that knows ***" in caplog.text and SECRET not in caplog.text
    assert send(site, request()).status == 202


def test_an_answer_that_cannot_be_sent_costs_nobody_else(
    troubled: tuple[Site, Troubled], monkeypatch: pytest.MonkeyPatch
) -> None:
    site, ledger = troubled
    release = threading.Event()
    ledger.before = waiting_for(release)
    send_whole = BoundedProtocol.send_whole
    unlucky: list[bytes] = []

    def once_not(protocol: BoundedProtocol, *answer: Any, **more: Any) -> None:
        if b"quarantined" in answer[2] and not unlucky:
            unlucky.append(answer[2])
            raise RuntimeError("a bug")
        send_whole(protocol, *answer, **more)

    monkeypatch.setattr(BoundedProtocol, "send_whole", once_not)
    with ExitStack() as stack:
        connections = [
            stack.enter_context(socket.create_connection(("127.0.0.1", site.port), timeout=10))
            for _ in range(3)
        ]
        for number, connection in enumerate(connections):  # the first one alone, then two together
            connection.sendall(request(b"not JSON" if number == 1 else PUSH))
            wait_until(lambda: ledger.transactions == 1)
        time.sleep(0.1)
        release.set()
        assert read_answer(connections[0]).status == 202
        assert read_answer(connections[2]).status == 202
        assert read_all(connections[1]) == b""  # it does not wait for ever
    assert len(unlucky) == 1


def test_what_cannot_be_put_into_words_is_answered_503(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kept(*_: object) -> None:
        raise RuntimeError("a bug")

    with monkeypatch.context() as broken:
        broken.setattr(fast_path, "Kept", kept)
        assert send(site, request(PUSH, ("Webhook-Id", "one"))).status == 503
    again = send(site, request(PUSH, ("Webhook-Id", "one"))).json()
    assert again["disposition"] == "duplicate"


def test_beyond_the_limit_for_connections_it_is_503(
    start: Start, monkeypatch: pytest.MonkeyPatch, taken: list[bytes]
) -> None:
    monkeypatch.setattr("proctor.web.serve.CONNECTIONS", 2)
    site = start()
    assert send(site, request()).status == 202
    with socket.create_connection(("127.0.0.1", site.port), timeout=10):
        wait_until(lambda: send(site, request()).status == 503)
    wait_until(lambda: send(site, request()).status == 202)
    assert taken


def test_a_server_that_stops_answers_first(start: Start, taken: list[bytes]) -> None:
    made: list[Troubled] = []
    release = threading.Event()
    answers: list[bytes] = []

    def around(real: Any) -> Troubled:
        made.append(Troubled(real))
        return made[0]

    site = start(around=around)
    made[0].before = waiting_for(release)
    connection = socket.create_connection(("127.0.0.1", site.port), timeout=20)
    with connection:
        connection.sendall(request())
        wait_until(lambda: made[0].transactions == 1)
        site.stop()
        time.sleep(0.3)
        release.set()
        answers.append(read_all(connection))
    assert answers[0].startswith(b"HTTP/1.1 202 ") and b"connection: close\r\n" in answers[0]
    assert len(taken) == 1


def test_who_says_nothing_more_is_hung_up_on(
    start: Start, monkeypatch: pytest.MonkeyPatch, taken: list[bytes]
) -> None:
    monkeypatch.setattr("proctor.web.protocol.HEADERS_WITHIN", 0.3)
    monkeypatch.setattr("proctor.web.protocol.IDLE", 0.3)
    site = start()
    with socket.create_connection(("127.0.0.1", site.port), timeout=10) as connection:
        connection.sendall(request())
        assert read_answer(connection).status == 202
        began = time.monotonic()
        assert read_all(connection) == b""
        assert time.monotonic() - began < 5
    assert len(taken) == 1


def test_bodies_that_were_written_leave_their_room(start: Start, taken: list[bytes]) -> None:
    site = start()
    body = json.dumps({"padding": "x" * 40_000}).encode()
    times = 33 * 1024 * 1024 // len(body)  # more than all bodies together may take
    with socket.create_connection(("127.0.0.1", site.port), timeout=10) as connection:
        for _ in range(times):
            connection.sendall(request(body))
            assert read_answer(connection).status == 202
    large = json.dumps({"padding": "x" * 200_000}).encode()
    assert send(site, request(large)).status == 202
    assert len(taken) > times // 2  # not all come in one piece
