"""HTTP that is wrong, or right in a way that nobody expects."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.web.conftest import SECRET, Site, read_all, read_answer, sample

from proctor.web.receiver import Limits

PUSH = sample("repo.content-push-without-webhook-id")
LINE = "POST /webhooks/hub HTTP/1.1"


@pytest.fixture
def url(tmp_path: Path) -> str:
    """The database does not matter here."""
    return f"sqlite:///{tmp_path}/ledger.db"


def request(*lines: str, first: str = LINE, body: bytes = b"") -> bytes:
    """A request with the right secret and the given header lines."""
    top = [first, "Host: x", f"X-Webhook-Secret: {SECRET}", *lines]
    return ("\r\n".join(top) + "\r\n\r\n").encode("latin-1") + body


def stored(site: Site) -> list[bytes]:
    with site.ledger.view() as view:
        return [delivery.body for delivery in view.deliveries(limit=1000)]


LENGTH = f"Content-Length: {len(PUSH)}"
CHUNKED = b"%x\r\n%b\r\n0\r\n\r\n" % (len(PUSH), PUSH)
WRONG = {
    "two lengths": request(LENGTH, "Content-Length: 5", body=PUSH),
    "length and chunks": request(LENGTH, "Transfer-Encoding: chunked", body=CHUNKED),
    "chunks twice": request("Transfer-Encoding: chunked, chunked", body=CHUNKED),
    "chunks, not last": request("Transfer-Encoding: chunked, gzip", body=CHUNKED),
    "unknown encoding": request("Transfer-Encoding: rot13", body=PUSH),
    "length in hex": request("Content-Length: 0x10", body=PUSH),
    "length with sign": request("Content-Length: +10", body=PUSH),
    "length of 40 digits": request("Content-Length: " + "9" * 40),
    "folded header": request(LENGTH, "X-A: b", " c", body=PUSH),
    "space before colon": request("Content-Length : 5", body=PUSH),
    "nul in header": request(LENGTH, "X-A: \x00", body=PUSH),
    "bare newline": request(LENGTH, body=PUSH).replace(b"\r\n", b"\n"),
    "bad chunk size": request("Transfer-Encoding: chunked", body=b"zz\r\nabc\r\n0\r\n\r\n"),
    "another protocol": request(LENGTH, "Connection: Upgrade", "Upgrade: h2c", body=PUSH),
    "http/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 100,
    "redis": b"*1\r\n$8\r\nFLUSHALL\r\n",
    "raw bytes in the address": request(first="POST /webhooks/\xff HTTP/1.1"),
}


def test_wrong_http_is_refused_and_nothing_is_stored(site: Site) -> None:
    for told, sent in WRONG.items():
        answer = site.raw(sent)
        assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 413 ")), told
    assert stored(site) == []
    assert site.ask("GET", "/healthz").status == 200


def test_what_follows_a_body_is_the_next_request(site: Site) -> None:
    """A length that is too short does not make the rest part of anything."""
    sent = request(f"Content-Length: {len(PUSH)}", body=PUSH + b"GET /evil")
    with socket.create_connection(("127.0.0.1", site.port), timeout=60) as connection:
        connection.sendall(sent)
        assert read_answer(connection).status == 202
    assert stored(site) == [PUSH]


def test_a_length_that_lies_low_is_no_way_to_smuggle(site: Site) -> None:
    answer = site.raw(request("Content-Length: 10", body=PUSH))
    assert b"HTTP/1.1 400 " in answer  # what is left is no request
    assert stored(site) in ([], [PUSH[:10]])


@pytest.mark.parametrize(
    "lines",
    [
        ["X-Big: " + "a" * 70_000],
        [f"X-{n}: {'a' * 1000}" for n in range(80)],
        ["X" * 70_000 + ": a"],
    ],
    ids=["value", "many", "name"],
)
def test_headers_are_bounded(site: Site, lines: list[str]) -> None:
    assert site.raw(request(*lines, LENGTH, body=PUSH)).startswith(b"HTTP/1.1 400 ")
    assert stored(site) == []


def test_an_address_is_bounded(site: Site) -> None:
    first = f"POST /webhooks/hub?{'a' * 70_000} HTTP/1.1"
    assert site.raw(request(LENGTH, first=first, body=PUSH)).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    ("start_with", "repeat"),
    [
        (f"{LINE}\r\nX-Endless: ".encode(), b"a" * 10_000),
        (f"{LINE}\r\n".encode(), b"X-A: b\r\n" * 1000),
        (request("Transfer-Encoding: chunked", body=b"1\r\na\r\n0\r\n"), b"X-T: b\r\n" * 1000),
        (request("Transfer-Encoding: chunked", body=b"1;"), b"x=" + b"y" * 10_000),
        (b"", b"\r\n" * 5000),
    ],
    ids=["value", "headers", "trailers", "chunk extension", "empty lines"],
)
def test_what_never_ends_ends(site: Site, start_with: bytes, repeat: bytes) -> None:
    with socket.create_connection(("127.0.0.1", site.port), timeout=60) as connection:
        connection.sendall(start_with)
        with pytest.raises(OSError, match=r"reset|pipe"):
            for _ in range(2000):  # 20 MB
                connection.sendall(repeat)
    assert stored(site) == []


def test_trailers_are_not_headers(site: Site) -> None:
    trailer = b"Webhook-Id: forged\r\nX-Late: 1\r\n"
    body = b"%x\r\n%b\r\n0\r\n%b\r\n" % (len(PUSH), PUSH, trailer)
    sent = request("Transfer-Encoding: chunked", "Connection: close", body=body)
    assert site.raw(sent).startswith(b"HTTP/1.1 202 ")
    with site.ledger.view() as view:
        (delivery,) = view.deliveries()
    assert delivery.webhook_id is None
    assert "x-late" not in dict(delivery.headers)


def test_the_limit_holds_to_the_byte_however_it_comes(start: Callable[..., Site]) -> None:
    site = start(limits=Limits(body=1000))
    for size, status in ((1000, b"202"), (1001, b"413")):
        parts = b"".join(b"1\r\nx\r\n" for _ in range(size)) + b"0\r\n\r\n"
        sent = request("Transfer-Encoding: chunked", "Connection: close", body=parts)
        assert site.raw(sent).split(b" ", 2)[1] == status
        assert site.post(b"x" * size).status == int(status)


def test_old_and_odd_but_right(site: Site) -> None:
    close = "Connection: close"
    for sent in (
        request(LENGTH, first="POST /webhooks/hub HTTP/1.0", body=PUSH),
        request(LENGTH, close, first="POST http://elsewhere/webhooks/hub HTTP/1.1", body=PUSH),
        request(LENGTH, close, first="POST /webhooks/%68ub HTTP/1.1", body=PUSH),
        request(LENGTH, close, "Expect: 100-continue", body=PUSH),
        request(LENGTH, close, "X-HTTP-Method-Override: DELETE", body=PUSH),
        b"\r\n\r\n" + request(LENGTH, close, body=PUSH),
    ):
        with socket.create_connection(("127.0.0.1", site.port), timeout=60) as connection:
            connection.sendall(sent)
            assert b" 202 " in read_all(connection)
    assert stored(site) == [PUSH] * 6
