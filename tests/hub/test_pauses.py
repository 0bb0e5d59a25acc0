"""What the Hub asked one call to wait for, every call keeps to."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import httpx2
import pytest

from proctor.core.errors import TransientError
from proctor.core.names import Repo, RepoType
from proctor.hub import HuggingFaceHub
from proctor.hub.pauses import Pauses

if TYPE_CHECKING:
    from tests.hub.conftest import Stub

REFS = "/api/models/acme/bot/refs"
BOT = "/api/models/acme/bot"


def delay_of(hub: HuggingFaceHub, name: str = "acme/bot") -> float | None:
    with pytest.raises(TransientError) as raised:
        hub.find(RepoType.MODEL, name)
    return raised.value.delay


@pytest.mark.parametrize("headers", [{"Retry_After": "290"}, {"RateLimit": '"api";r=0;t=290'}])
def test_after_a_refusal_nothing_is_sent_whoever_asks(
    stub: Stub, hub: HuggingFaceHub, repo: Repo, headers: dict[str, str]
) -> None:
    stub.on("GET", BOT, stub.told({}, 429, **headers))
    assert delay_of(hub) == 290
    sent = len(stub.seen)
    for name in ("acme/bot", "acme/other", "zoo/cat"):
        assert 280 < (delay_of(hub, name) or 0) <= 290
    with pytest.raises(TransientError) as raised:
        hub.create_tag(repo, "prod", stub.sha, "")
    assert raised.value.without_effect
    assert len(stub.seen) == sent


def test_the_last_answer_before_the_limit_is_heeded_too(stub: Stub, hub: HuggingFaceHub) -> None:
    told = stub.identity()
    last = stub.answer(body=told.body, headers={"RateLimit": '"api";r=0;t=120'})
    stub.on("GET", BOT, last)
    assert hub.find(RepoType.MODEL, "acme/bot").name == "acme/bot"
    assert 110 < (delay_of(hub) or 0) <= 120
    assert len(stub.seen) == 1


def test_a_pause_ends(stub: Stub, hub: HuggingFaceHub) -> None:
    stub.on("GET", BOT, stub.told({}, 429, Retry_After="1"), stub.identity())
    started = time.monotonic()
    assert hub.find(RepoType.MODEL, "acme/bot").name == "acme/bot"
    assert time.monotonic() - started >= 1.0


def test_an_address_that_cannot_serve_now_pauses_no_other(stub: Stub, hub: HuggingFaceHub) -> None:
    stub.on("GET", BOT, stub.told({}, 503, Retry_After="290"))
    stub.on("GET", "/api/models/acme/other", stub.identity(name="acme/other"))
    assert delay_of(hub) == 290
    assert hub.find(RepoType.MODEL, "acme/other").name == "acme/other"
    assert 280 < (delay_of(hub) or 0) <= 290
    assert len(stub.asked("GET", BOT)) == 1


def test_a_redirect_says_nothing_of_a_limit(stub: Stub, hub: HuggingFaceHub) -> None:
    stub.on("GET", BOT, stub.answer(307, b"", {"Location": BOT + "2", "Retry-After": "290"}))
    stub.on("GET", BOT + "2", stub.identity())
    for _ in range(2):
        assert hub.find(RepoType.MODEL, "acme/bot").name == "acme/bot"


@pytest.mark.parametrize(
    ("asked", "other"),
    [
        ("/acme/bot/resolve/main/api/file", "/api/models/acme/bot"),
        ("/api/resolve-cache/models/acme/bot/f/config.json", "/api/models/acme/bot"),
        ("/api/models/acme/resolve/refs", "/acme/bot/resolve/main/config.json"),
    ],
)
def test_a_limit_of_downloads_is_none_of_calls(asked: str, other: str) -> None:
    pauses = Pauses()
    used_up = httpx2.Response(200, headers={"RateLimit": '"x";r=0;t=290'})
    pauses.note(httpx2.Request("GET", f"https://hub.test{asked}"), used_up)
    with pytest.raises(TransientError):
        pauses.check(httpx2.Request("GET", f"https://hub.test{asked}"))
    pauses.check(httpx2.Request("GET", f"https://hub.test{other}"))


def test_what_one_list_cannot_serve_pauses_no_other_list() -> None:
    pauses = Pauses()
    lists = "https://hub.test/api/models?author="
    busy = httpx2.Response(503, headers={"Retry-After": "290"})
    pauses.note(httpx2.Request("GET", f"{lists}acme"), busy)
    with pytest.raises(TransientError):
        pauses.check(httpx2.Request("GET", f"{lists}acme"))
    pauses.check(httpx2.Request("GET", f"{lists}zoo"))
