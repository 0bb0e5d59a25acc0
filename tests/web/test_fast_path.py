"""The fast path answers and records as the ordinary way does, and leaves it what is unusual."""

from __future__ import annotations

import socket
import threading
from collections.abc import Mapping
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
    send_apart,
    wait_until,
    waiting_for,
)
from tests.web.deliveries import HEADERS, PUSH, recorded, request, send

from proctor.web import fast_path
from proctor.web.fast_path import FastProtocol


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


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
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
    with socket.create_connection(("127.0.0.1", site.port), timeout=60) as connection:
        connection.sendall(asked)
        answer = read_answer(connection)
    assert taken == []
    monkeypatch.setattr(fast_path, "_BEGIN", b"nothing begins so")
    with socket.create_connection(("127.0.0.1", site.port), timeout=60) as connection:
        connection.sendall(asked)
        assert read_answer(connection).status == answer.status


def test_a_connection_may_be_used_again(site: Site, taken: list[bytes]) -> None:
    with socket.create_connection(("127.0.0.1", site.port), timeout=60) as connection:
        for number in range(6):
            asked = request(PUSH, ("Webhook-Id", str(number)))
            if number % 2:
                connection.sendall(asked)
            else:
                send_apart(connection, asked[:100], asked[100:])
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
    with socket.create_connection(("127.0.0.1", site.port), timeout=60) as connection:
        connection.sendall(request(PUSH, ("Webhook-Id", "first")))
        wait_until(lambda: ledger.transactions == 1)
        send_apart(
            connection,
            request(b"not JSON") + b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /no",
            b"thing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        )
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
    with socket.create_connection(("127.0.0.1", site.port), timeout=60) as connection:
        # Then the body of the second, which is longer than the piece.
        send_apart(connection, first + second, b"x" * length)
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
    with socket.create_connection(("127.0.0.1", site.port), timeout=60) as connection:
        wait_until(lambda: bool(protocols))
        (protocol,) = protocols
        protocol.loop.call_soon_threadsafe(protocol.pause_writing)  # as its transport would
        wait_until(lambda: protocol.flow.write_paused)
        connection.sendall(request())
        connection.settimeout(0.3)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        connection.settimeout(60)
        protocol.loop.call_soon_threadsafe(protocol.resume_writing)
        assert read_answer(connection).status == 202
    assert taken == []
