"""The fast path when something fails, or somebody does not wait: all others get their answers."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest
from tests.web.conftest import (
    SECRET,
    Site,
    Troubled,
    read_all,
    read_answer,
    wait_read,
    wait_until,
    waiting_for,
)
from tests.web.deliveries import PUSH, recorded, request, send

from proctor.core.errors import LedgerUnavailable
from proctor.web import fast_path
from proctor.web.protocol import BoundedProtocol
from proctor.web.receiver import Receiver

Start = Callable[..., Site]


def test_a_sender_that_hangs_up_is_on_record_and_costs_nobody_else(
    troubled: tuple[Site, Troubled], taken: list[bytes]
) -> None:
    site, ledger = troubled
    release = threading.Event()
    ledger.before = waiting_for(release)
    gone = socket.create_connection(("127.0.0.1", site.port), timeout=60)
    gone.sendall(request(PUSH, ("Webhook-Id", "gone")))
    wait_until(lambda: ledger.transactions == 1)
    gone.close()
    with socket.create_connection(("127.0.0.1", site.port), timeout=60) as connection:
        stays = request(PUSH, ("Webhook-Id", "stays"))
        connection.sendall(stays)
        wait_read(connection, len(stays))
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
            stack.enter_context(socket.create_connection(("127.0.0.1", site.port), timeout=60))
            for _ in range(3)
        ]
        for number, connection in enumerate(connections):  # the first one alone, then two together
            asked = request(b"not JSON" if number == 1 else PUSH)
            connection.sendall(asked)
            wait_read(connection, len(asked))
            wait_until(lambda: ledger.transactions == 1)
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
    with socket.create_connection(("127.0.0.1", site.port), timeout=60):
        wait_until(lambda: send(site, request()).status == 503)
    wait_until(lambda: send(site, request()).status == 202)
    assert taken


def refuses(site: Site) -> bool:
    """Whether nobody is let in any more."""
    try:
        socket.create_connection(("127.0.0.1", site.port), timeout=60).close()
    except ConnectionRefusedError:
        return True
    return False


def test_a_server_that_stops_answers_first(start: Start, taken: list[bytes]) -> None:
    made: list[Troubled] = []
    release = threading.Event()
    answers: list[bytes] = []

    def around(real: Any) -> Troubled:
        made.append(Troubled(real))
        return made[0]

    site = start(around=around)
    made[0].before = waiting_for(release)
    connection = socket.create_connection(("127.0.0.1", site.port), timeout=60)
    with connection:
        connection.sendall(request())
        wait_until(lambda: made[0].transactions == 1)
        site.stop()
        wait_until(lambda: refuses(site))  # it hears the news in the same moment
        release.set()
        answers.append(read_all(connection))
    assert answers[0].startswith(b"HTTP/1.1 202 ") and b"connection: close\r\n" in answers[0]
    assert len(taken) == 1


def test_who_says_nothing_more_is_hung_up_on(
    start: Start, monkeypatch: pytest.MonkeyPatch, taken: list[bytes]
) -> None:
    monkeypatch.setattr("proctor.web.protocol.HEADERS_WITHIN", 1.0)
    monkeypatch.setattr("proctor.web.protocol.IDLE", 0.3)
    site = start()
    with socket.create_connection(("127.0.0.1", site.port), timeout=60) as connection:
        connection.sendall(request())
        assert read_answer(connection).status == 202
        began = time.monotonic()
        assert read_all(connection) == b""
        assert time.monotonic() - began < 15  # it would be 20 as it comes
    assert len(taken) == 1


def test_bodies_that_were_written_leave_their_room(start: Start, taken: list[bytes]) -> None:
    site = start()
    body = json.dumps({"padding": "x" * 40_000}).encode()
    times = 33 * 1024 * 1024 // len(body)  # more than all bodies together may take
    with socket.create_connection(("127.0.0.1", site.port), timeout=60) as connection:
        for _ in range(20 * times):  # not all come in one piece
            if len(taken) > times:
                break
            connection.sendall(request(body))
            assert read_answer(connection).status == 202
    assert len(taken) > times
    large = json.dumps({"padding": "x" * 200_000}).encode()
    assert send(site, request(large)).status == 202
