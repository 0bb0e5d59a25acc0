"""Bodies that someone thought about for a while. An authentic one is on record, whatever it is."""

from __future__ import annotations

import gzip
import json
import socket
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.web.conftest import Site, sample

PUSH = json.loads(sample("repo.content-push"))
COMMENT = json.loads(sample("discussion.comment-create"))
HUB_ID = PUSH["repo"]["id"]


def changed(body: Any, *path: str, to: object) -> bytes:
    """`body` as JSON, with one value exchanged."""
    copy = json.loads(json.dumps(body))
    inner = copy
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = to
    return json.dumps(copy).encode()


def raw(text: str, *, instead_of: str = "acme/chat-small") -> bytes:
    """The push with the bytes of `text` in the place of its repo's name."""
    return json.dumps(PUSH).replace(instead_of, text).encode("utf-8", "surrogatepass")


def kept(site: Site, body: bytes, **headers: str) -> tuple[str, str]:
    """Post `body`; it must be on record byte by byte. Its disposition, and the reason."""
    answer = site.post(body, **headers)
    assert answer.status == 202, answer.body
    told = answer.json()
    with site.ledger.view() as view:
        delivery = view.delivery(told["delivery"])
    assert delivery is not None
    assert delivery.body == body
    # A reason is a line for people, on any terminal.
    assert delivery.reason.isprintable()
    assert len(delivery.reason) < 300
    return told["disposition"], delivery.reason


NAMES = {
    "parent": "../../etc/passwd",
    "absolute": "/etc/passwd",
    "parent inside": "acme/..",
    "nul": "acme/a\x00b",
    "5,000 characters": "acme/" + "a" * 5000,
    "right to left": "acme/\u202egnp.exe",
    "script": "<script>alert(1)</script>",
    "line": "acme/a\r\nSet-Cookie: a=b",
    "ansi": "acme/\x1b[2J\x1b[31mred",
    "sql": "acme/a'; DROP TABLE events; --",
    "url": "https://example.org/acme/chat",
    "homoglyph": "acme/ch\u0430t",
    "emoji": "acme/\U0001f600",
    "empty": "",
    "space": "acme/chat small",
}


def test_no_such_name_gets_further_than_the_raw_bytes(site: Site) -> None:
    for told, name in NAMES.items():
        for path in (("repo", "name"), ("repo", "id"), ("webhook", "id"), ("event", "action")):
            disposition, reason = kept(site, changed(PUSH, *path, to=name))
            assert (disposition, ".".join(path) in reason) == ("quarantined", True), told
    with site.ledger.view() as view:
        assert view.events() == ()
        assert view.open_steps() == ()


def test_a_ref_of_any_name_is_data_at_most(site: Site) -> None:
    for told, name in NAMES.items():
        refs = [{"ref": f"refs/heads/{name}", "oldSha": None, "newSha": None}]
        kept(site, changed(PUSH, "updatedRefs", to=refs), Webhook_Id=told)
    with site.ledger.view() as view:
        events = view.events()
    assert {e.repo_name for e in events} == {"acme/chat-small"}
    refs_kept = [update.ref for e in events for update in e.updates]
    assert all(ref.isprintable() and ".." not in ref and len(ref) < 600 for ref in refs_kept)


BODIES = {
    "nan": raw('x", "a": NaN, "b": "'),
    "infinity": raw('x", "a": -Infinity, "b": "'),
    "doubled key": raw('acme/chat-small", "name": "acme/other'),
    "doubled at the top": json.dumps(PUSH).encode()[:-1] + b', "repo": {}}',
    "invalid utf-8": json.dumps(PUSH).encode().replace(b"chat-small", b"chat-\xff\xfe"),
    "overlong utf-8": json.dumps(PUSH).encode().replace(b"chat-small", b"chat-\xc0\xaf"),
    "surrogate in utf-8": raw("acme/\ud800"),
    "utf-16": json.dumps(PUSH).encode("utf-16"),
    "byte order mark": b"\xef\xbb\xbf" + json.dumps(PUSH).encode(),
    "4,301 digits": changed(PUSH, "more", to=1)[:-2] + b"9" * 4301 + b"}",
    "401 digits": changed(PUSH, "more", to=1)[:-2] + b"9" * 401 + b"}",
    "100,000 deep list": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "100,000 deep inside": json.dumps(PUSH).encode()[:-1]
    + b', "x": '
    + b"[" * 100_000
    + b"]" * 100_000
    + b"}",
    "a list": b"[]",
    "a string": b'"' + b"a" * 100_000 + b'"',
    "null": b"null",
    "two bodies": json.dumps(PUSH).encode() * 2,
    "cut off": json.dumps(PUSH).encode()[:-1],
    "a form": b"payload=%7B%7D",
    "xml": b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>',
    "nul bytes": b"\x00" * 1000,
    "a pickle": b"\x80\x04\x95\x1d" + b"\x00" * 7 + b"\x8c\x05posix\x94\x8c\x06system\x94\x93.",
}


def test_what_cannot_be_read_is_quarantined(site: Site) -> None:
    for told, body in BODIES.items():
        began = time.monotonic()
        disposition, reason = kept(site, body)
        assert (disposition, bool(reason)) == ("quarantined", True), told
        assert time.monotonic() - began < 5, told
    with site.ledger.view() as view:
        assert view.events() == ()
        assert view.open_steps() == ()


READABLE = {
    "huge exponent": changed(PUSH, "more", to=1)[:-2] + b"1e999999}",
    "unknown keys": changed(PUSH, "toString", to={"__proto__": {"admin": True}}),
    "tags": changed(
        PUSH, "repo", "tags", to=["<script>", "\x00", "\u202e", "\x1b[31m", "a" * 9999]
    ),
    "400 digits": changed(PUSH, "more", to=1)[:-2] + b"9" * 400 + b"}",
    "500 deep": json.dumps(PUSH).encode()[:-1] + b', "x": ' + b"[" * 500 + b"]" * 500 + b"}",
    "escapes": json.dumps(PUSH).encode().replace(b"acme", rb"\u0061cme"),
}


def test_what_does_not_concern_us_does_no_harm(site: Site) -> None:
    for told, body in READABLE.items():
        assert kept(site, body, Webhook_Id=told) == ("accepted", ""), told
    with site.ledger.view() as view:
        names = [e.repo_name for e in view.pending_events(HUB_ID)]
    assert names == ["acme/chat-small"] * len(READABLE)


TEXTS = [
    "\x00",
    "\ud800",
    "\udfff\ud800",
    "a\x00b\x10c",
    "\u202e<script>\r\n\x1b[31m",
    "x" * 50_000,
]


def test_free_text_is_data(site: Site) -> None:
    for text in TEXTS:
        lone = any("\ud800" <= c <= "\udfff" for c in text)
        content = kept(site, changed(COMMENT, "comment", "content", to=text))[0]
        assert content == ("quarantined" if lone else "accepted"), ascii(text[:20])
        for path in (("discussion", "title"), ("comment", "author", "id")):
            told = kept(site, changed(COMMENT, *path, to=text))[0]
            assert told in ("accepted", "duplicate"), ascii(text[:20])


KINDS = ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "a/b", "\xff")


def test_the_content_type_decides_nothing(site: Site) -> None:
    for kind in KINDS:
        body = json.dumps(PUSH).encode()
        assert kept(site, body, Content_Type=kind, Webhook_Id=ascii(kind))[0] == "accepted"


def test_a_bomb_is_not_unpacked(site: Site) -> None:
    packed = gzip.compress(b"\x00" * 100_000_000)  # 97 kB
    tracemalloc.start()  # what is held at any time, not what the process has room for
    try:
        for encoding in ("gzip", "deflate", "br", "gzip, gzip"):
            assert kept(site, packed, Content_Encoding=encoding)[0] == "quarantined"
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 50_000_000


def test_a_number_of_ten_megabytes_is_too_large(site: Site) -> None:
    answer = site.post(b'{"a": ' + b"9" * 10_000_000 + b"}")
    assert answer.status == 413
    with site.ledger.view() as view:
        assert view.deliveries() == ()


IDS = {
    "long": "w" * 30_000,
    "latin": "caf\xe9\xff",
    "sql": "' OR 1=1; --",
    "markup": "<script>alert(1)</script>",
    "spaces": "a b\tc",
}


def test_a_webhook_id_is_just_a_text(site: Site) -> None:
    body = json.dumps(PUSH).encode()
    for told, webhook_id in IDS.items():
        first, again = (site.post(body, Webhook_Id=webhook_id) for _ in range(2))
        assert (first.status, again.status) == (202, 202), told
        assert first.json()["disposition"] == "accepted", told
        assert again.json()["disposition"] == "duplicate", told
        assert again.json()["event"] == first.json()["event"], told


@pytest.fixture
def canary() -> Iterator[tuple[int, list[object]]]:
    """A port on which nobody should call, and those who did."""
    callers: list[object] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)
        done = threading.Event()

        def listen() -> None:
            while not done.is_set():
                try:
                    connection, caller = server.accept()
                except TimeoutError:
                    continue
                connection.close()
                callers.append(caller)

        thread = threading.Thread(target=listen)
        thread.start()
        yield server.getsockname()[1], callers
        done.set()
        thread.join()


def test_no_address_in_a_payload_is_ever_called(
    start: Callable[..., Site], canary: tuple[int, list[object]]
) -> None:
    port, callers = canary
    site = start()
    there = f"http://127.0.0.1:{port}/"
    elsewhere = json.loads(json.dumps(COMMENT).replace("https://huggingface.co/", there))
    elsewhere["repo"]["url"] = {"web": there, "api": there, "git": there}
    elsewhere["webhook"]["url"] = there
    headers = {"Referer": there, "Origin": there, "Location": there}
    assert kept(site, json.dumps(elsewhere).encode(), **headers)[0] == "accepted"
    time.sleep(0.3)
    assert callers == []
    with site.ledger.view() as view:
        (event,) = view.events()
    assert there not in repr(event)  # and nothing that comes later could call it
