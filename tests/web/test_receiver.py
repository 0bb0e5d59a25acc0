"""POST /webhooks/hub over a real socket: every answer that the contract allows, and no other."""

from __future__ import annotations

import gzip
import json
import logging
import socket
import time
from collections.abc import Callable
from urllib.parse import quote

import pytest
from tests.web.conftest import SECRET, Site, read_all, read_answer, sample, wait_until

from proctor.core.event import Disposition
from proctor.core.run import StepKind
from proctor.testing import FakeQueue
from proctor.web.receiver import Limits

Start = Callable[..., Site]
PUSH = sample("repo.content-push-without-webhook-id")


def deliveries(site: Site) -> int:
    with site.ledger.view() as view:
        return len(view.deliveries(limit=1000))


def head(length: int | str, *more: str, query: str = "") -> bytes:
    """The start of a request with the right secret."""
    lines = [
        f"POST /webhooks/hub{query} HTTP/1.1",
        "Host: x",
        f"X-Webhook-Secret: {SECRET}",
        *([f"Content-Length: {length}"] if length != "" else []),
        *more,
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def test_a_push_is_on_record_before_it_is_acknowledged(site: Site) -> None:
    answer = site.post(PUSH, Webhook_Id="w1", Content_Type="application/json")
    assert answer.status == 202
    told = answer.json()
    assert told["disposition"] == "accepted"
    with site.ledger.view() as view:
        delivery = view.delivery(told["delivery"])
        event = view.event(told["event"])
        (step,) = view.open_steps()
    assert delivery is not None
    assert event is not None
    assert delivery.body == PUSH
    assert (delivery.webhook_id, delivery.event_id) == ("w1", event.id)
    assert dict(delivery.headers)["content-type"] == "application/json"
    assert (event.hub_id, event.repo_name) == ("6366c000a2abcdf2fd69a080", "acme/chat-small")
    assert event.disposition is Disposition.PENDING
    assert (step.kind, step.subject, step.queue) == (StepKind.PLAN, event.hub_id, "io")


def test_a_worker_is_woken_for_a_new_event_and_for_a_duplicate(site: Site) -> None:
    assert isinstance(site.queue, FakeQueue)
    queue = site.queue
    first = site.post(PUSH, Webhook_Id="w1").json()
    wait_until(lambda: len(queue.woken) == 1)
    again = site.post(PUSH, Webhook_Id="w1").json()
    wait_until(lambda: len(queue.woken) == 2)
    assert again["disposition"] == "duplicate"
    assert again["event"] == first["event"]
    assert again["delivery"] != first["delivery"]
    assert {step.subject for step in queue.woken} == {"6366c000a2abcdf2fd69a080"}


def test_what_cannot_be_read_is_kept_and_acknowledged(site: Site) -> None:
    answer = site.post(b'{"event": ')
    assert answer.status == 202
    told = answer.json()
    assert (told["disposition"], told["event"]) == ("quarantined", None)
    with site.ledger.view() as view:
        delivery = view.delivery(told["delivery"])
        assert view.open_steps() == ()
    assert delivery is not None
    assert delivery.body == b'{"event": '
    assert "not JSON" in delivery.reason


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x00\xff\xfe",
        b"[" * 100_000,
        PUSH.replace(b"acme/chat-small", b"../../etc/passwd"),
        PUSH.replace(b"acme/chat-small", rb"acme/a\u0000b"),
        PUSH.replace(b"acme/chat-small", rb"acme/\ud800"),
        b'{"a": ' + b"9" * 10_000 + b"}",
    ],
    ids=["empty", "binary", "deep", "path", "nul", "surrogate", "number"],
)
def test_hostile_bodies_are_quarantined(site: Site, body: bytes) -> None:
    answer = site.post(body)
    assert (answer.status, answer.json()["disposition"]) == (202, "quarantined")


def test_compressed_bytes_are_kept_as_they_are(site: Site) -> None:
    packed = gzip.compress(PUSH)
    told = site.post(packed, Content_Encoding="gzip").json()
    assert told["disposition"] == "quarantined"
    with site.ledger.view() as view:
        delivery = view.delivery(told["delivery"])
    assert delivery is not None
    assert delivery.body == packed


@pytest.mark.parametrize(
    "query",
    [
        f"?secret={quote(SECRET, safe='')}",
        f"?secret={SECRET}",  # as a person types it: with a bare plus
        f"?a=1&secret={quote(SECRET)}&b=2",
    ],
)
def test_the_secret_may_come_in_the_address(site: Site, query: str) -> None:
    assert site.ask("POST", "/webhooks/hub" + query, PUSH).status == 202


@pytest.mark.parametrize("secret", ["old-secret", "new-secret"])
def test_every_configured_secret_opens(start: Start, secret: str) -> None:
    site = start(secrets=("old-secret", "new-secret"))
    answer = site.ask("POST", "/webhooks/hub", PUSH, {"X-Webhook-Secret": secret})
    assert answer.status == 202


@pytest.mark.parametrize(
    ("lines", "query", "why"),
    [
        ([], "", "missing"),
        (["X-Webhook-Secret:"], "", "missing"),
        ([], "?secret=", "missing"),
        ([], "?secret", "missing"),
        (["X-Webhook-Secret: wrong"], "", "wrong"),
        ([f"X-Webhook-Secret: {SECRET}x"], "", "wrong"),
        ([f"X-Webhook-Secret: {SECRET[:-1]}"], "", "wrong"),
        (["X-Webhook-Secret: schlüssel"], "", "wrong"),
        (["X-Webhook-Secret: " + "a" * 30_000], "", "wrong"),
        ([], "?secret=" + "a" * 30_000, "wrong"),
        ([], "?secret=%FF%00", "wrong"),
        ([f"X-Webhook-Secret: {SECRET}"], "?secret=wrong", "wrong"),
        ([f"X-Webhook-Secret: {SECRET}"] * 2, "", "twice"),
        ([f"X-Webhook-Secret: {SECRET}, {SECRET}"], "", "wrong"),
        ([], f"?secret={SECRET}&secret={SECRET}", "twice"),
        ([f"Authorization: Bearer {SECRET}"], "", "missing"),
    ],
)
def test_without_the_secret_nothing_is_read_or_kept(
    site: Site, lines: list[str], query: str, why: str
) -> None:
    # No byte of the announced body is ever sent: the answer comes all the same.
    request = [f"POST /webhooks/hub{query} HTTP/1.1", "Host: x", "Content-Length: 100", *lines]
    with socket.create_connection(("127.0.0.1", site.port), timeout=60) as connection:
        connection.sendall(("\r\n".join(request) + "\r\n\r\n").encode())
        answer = read_answer(connection)
    assert (answer.status, answer.headers["content-type"]) == (401, "application/json")
    told = answer.json()
    assert why in told["error"]
    assert told["remedy"]
    assert deliveries(site) == 0


def test_the_body_limit_is_exact(start: Start) -> None:
    site = start(limits=Limits(body=100))
    assert site.post(b"x" * 100).status == 202
    answer = site.post(b"x" * 101)
    assert answer.status == 413
    assert "100 bytes" in answer.json()["error"]
    assert answer.json()["remedy"]
    assert deliveries(site) == 1


def test_a_body_without_an_announced_length_is_bounded_too(start: Start) -> None:
    site = start(limits=Limits(body=1000))
    chunk = b"100\r\n" + b"x" * 0x100 + b"\r\n"
    request = head("", "Transfer-Encoding: chunked") + chunk * 40 + b"0\r\n\r\n"
    assert site.raw(request).startswith(b"HTTP/1.1 413 ")
    assert deliveries(site) == 0


def test_an_endless_body_ends(start: Start) -> None:
    """The sender gets its answer, and then loses the connection, however long it goes on."""
    site = start(limits=Limits(body=1000))
    chunk = b"4000\r\n" + b"x" * 0x4000 + b"\r\n"
    with socket.create_connection(("127.0.0.1", site.port), timeout=60) as connection:
        connection.sendall(head("", "Transfer-Encoding: chunked"))
        sent = 0
        with pytest.raises(OSError, match=r"reset|pipe"):
            while sent < 200_000_000:
                connection.sendall(chunk)
                sent += len(chunk)
    assert deliveries(site) == 0


def test_a_small_chunked_body_is_taken(site: Site) -> None:
    chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (len(PUSH), PUSH)
    request = head("", "Transfer-Encoding: chunked", "Connection: close") + chunked
    assert site.raw(request).startswith(b"HTTP/1.1 202 ")


def test_a_length_too_large_is_refused_before_the_body(site: Site) -> None:
    with socket.create_connection(("127.0.0.1", site.port), timeout=60) as connection:
        connection.sendall(head(5_000_000_000))
        assert read_answer(connection).status == 413


def test_a_sender_that_posts_on_still_gets_its_413(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proctor.web.bounded_body.LINGER", 60)  # however slowly it posts
    answer = site.post(b"x" * 6_000_000)
    assert (answer.status, answer.headers["connection"]) == (413, "close")


@pytest.mark.parametrize("length", ["-1", "1e3", "12, 13"])
def test_a_length_that_is_none_is_refused(site: Site, length: str) -> None:
    assert site.raw(head(length) + b"{}").startswith(b"HTTP/1.1 400 ")
    assert deliveries(site) == 0


def test_a_body_shorter_than_announced_leaves_nothing(site: Site) -> None:
    with socket.create_connection(("127.0.0.1", site.port), timeout=60) as connection:
        connection.sendall(head(len(PUSH) + 10) + PUSH)
    assert site.ask("GET", "/healthz").status == 200
    assert deliveries(site) == 0


def test_a_body_that_trickles_is_given_up(start: Start) -> None:
    site = start(limits=Limits(upload=0.3))
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", site.port), timeout=60) as connection:
        connection.sendall(head(len(PUSH)) + PUSH[:10])
        assert read_answer(connection).status == 503
    assert time.monotonic() - began < 14  # it would be 15 where nobody asks for less
    assert deliveries(site) == 0


def test_a_slow_sender_holds_up_nobody(site: Site) -> None:
    slow = [socket.create_connection(("127.0.0.1", site.port), timeout=60) for _ in range(50)]
    try:
        for connection in slow:
            connection.sendall(head(len(PUSH)) + PUSH[:10])
        began = time.monotonic()
        assert site.post(PUSH).status == 202
        assert time.monotonic() - began < 14  # the slow ones may take 15
    finally:
        for connection in slow:
            connection.close()


def test_pipelined_deliveries_are_answered_one_by_one(site: Site) -> None:
    one = head(len(PUSH)) + PUSH
    last = head(len(PUSH), "Connection: close") + PUSH
    with socket.create_connection(("127.0.0.1", site.port), timeout=60) as connection:
        connection.sendall(one + last)
        answers = read_all(connection)
    assert answers.count(b"HTTP/1.1 202 ") == 2
    assert deliveries(site) == 2


def test_other_methods_and_addresses_are_answered_in_json(site: Site) -> None:
    for method, path, status in [
        ("GET", f"/webhooks/hub?secret={quote(SECRET)}", 405),
        ("DELETE", "/webhooks/hub", 405),
        ("POST", f"/webhooks/hub/?secret={quote(SECRET)}", 404),
        ("GET", "/nothing", 404),
        ("POST", "/healthz", 405),
    ]:
        answer = site.ask(method, path)
        assert answer.status == status
        assert set(answer.json()) == {"error", "remedy"}
        assert SECRET.encode() not in answer.body
        assert "location" not in answer.headers
        if status == 405:
            assert answer.headers["allow"]


def test_no_secret_reaches_a_row_or_a_log(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    query = f"?secret={quote(SECRET, safe='')}"
    headers = {
        "X-Webhook-Secret": SECRET,
        "Authorization": "Bearer abcdef",
        "Cookie": "session=abcdef",
        "X-Original-Url": f"/webhooks/hub{query}",
        "Referer": f"https://example.org/{SECRET}",
        "X-Api-Token": "abcdef",
        "X-Kept": "yes",
    }
    told = site.ask("POST", "/webhooks/hub" + query, PUSH, headers).json()
    site.ask("POST", "/webhooks/hub?secret=wrong-one", PUSH)
    site.ask("GET", f"/nothing{query}")
    with site.ledger.view() as view:
        delivery = view.delivery(told["delivery"])
    assert delivery is not None
    kept = dict(delivery.headers)
    assert kept["x-kept"] == "yes"
    assert not {"x-webhook-secret", "authorization", "cookie", "x-original-url"} & set(kept)
    assert not {"referer", "x-api-token"} & set(kept)
    assert "POST /webhooks/hub 202" in caplog.text
    for secret in (SECRET, quote(SECRET, safe=""), "wrong-one", "abcdef"):
        assert secret not in caplog.text
        assert secret not in repr(delivery)


def test_a_forged_line_cannot_get_into_the_log(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    site.ask("GET", "/a%0d%0aGET%20/forged%20200")
    wait_until(lambda: "forged" in caplog.text)
    assert all("\n" not in r.getMessage() for r in caplog.records if r.name == "proctor.access")


def test_many_at_once_each_get_their_own_answer(site: Site) -> None:
    """Deliveries that share a transaction do not share an outcome."""
    bad, count = b"no json", 30
    connections = [
        socket.create_connection(("127.0.0.1", site.port), timeout=60) for _ in range(count)
    ]
    try:
        for n, connection in enumerate(connections):
            body = bad if n % 3 == 0 else PUSH
            connection.sendall(
                head(len(body), f"Webhook-Id: w{n // 2}", "Connection: close") + body
            )
        answers = [
            json.loads(read_all(connection).partition(b"\r\n\r\n")[2]) for connection in connections
        ]
    finally:
        for connection in connections:
            connection.close()
    assert [a["disposition"] == "quarantined" for a in answers] == [
        n % 3 == 0 for n in range(count)
    ]
    assert len({a["delivery"] for a in answers}) == count
    events = {(n // 2, a["event"]) for n, a in enumerate(answers) if a["event"]}
    assert len(events) == len({e for _, e in events}) == count // 2
    accepted = [a for a in answers if a["disposition"] == "accepted"]
    assert len(accepted) == count // 2
