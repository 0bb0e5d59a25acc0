"""What is tried again, what is not, and how long anything may take."""

from __future__ import annotations

import email.utils
import socket
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import pytest
from huggingface_hub import HfApi, get_session, set_client_factory
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils._http import default_client_factory

from proctor.core.errors import PermanentError, TransientError
from proctor.core.names import Repo
from proctor.hub import HuggingFaceHub, Patience
from proctor.hub.client import BoundedClient
from proctor.hub.translate import refusal_delay

if TYPE_CHECKING:
    from tests.hub.conftest import Answer, Stub

REFS = "/api/models/acme/bot/refs"
MAIN = "refs/heads/main"


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 529])
def test_a_passing_trouble_is_tried_again(
    stub: Stub, hub: HuggingFaceHub, repo: Repo, status: int
) -> None:
    stub.on("GET", REFS, stub.told({}, status), stub.refs())
    assert hub.refs(repo) == {MAIN: stub.sha}
    assert len(stub.asked("GET", REFS)) == 2


def test_a_lasting_trouble_ends_after_three_tries(
    stub: Stub, hub: HuggingFaceHub, repo: Repo
) -> None:
    stub.on("GET", REFS, stub.told({}, 500))
    with pytest.raises(TransientError) as raised:
        hub.refs(repo)
    assert raised.value.delay is None
    assert len(stub.asked("GET", REFS)) == 3


@pytest.mark.parametrize("status", [400, 402, 404, 410, 418, 422])
def test_a_refusal_is_not_tried_again(
    stub: Stub, hub: HuggingFaceHub, repo: Repo, status: int
) -> None:
    stub.on("GET", REFS, stub.told({}, status))
    with pytest.raises(PermanentError):
        hub.refs(repo)
    assert len(stub.asked("GET", REFS)) == 1


def test_a_short_wait_that_the_hub_asks_for_is_kept(
    stub: Stub, hub: HuggingFaceHub, repo: Repo
) -> None:
    stub.on("GET", REFS, stub.told({}, 429, Retry_After="1"), stub.refs())
    started = time.monotonic()
    assert hub.refs(repo) == {MAIN: stub.sha}
    assert time.monotonic() - started >= 1.0


@pytest.mark.parametrize(
    ("headers", "delay"),
    [({"Retry_After": "40"}, 40), ({"RateLimit": '"api";r=0;t=300'}, 300)],
)
def test_a_long_wait_is_handed_on_at_once(
    stub: Stub, hub: HuggingFaceHub, repo: Repo, headers: Mapping[str, str], delay: float
) -> None:
    stub.on("GET", REFS, stub.told({}, 429, **headers))
    started = time.monotonic()
    with pytest.raises(TransientError) as raised:
        hub.refs(repo)
    assert raised.value.delay == delay
    assert time.monotonic() - started < 20
    assert len(stub.asked("GET", REFS)) == 1


def test_listings_do_not_wait_on_a_rate_limit_inside_the_client(
    stub: Stub, hub: HuggingFaceHub, repo: Repo
) -> None:
    path = f"/api/models/acme/bot/commits/{stub.sha}"
    stub.on("GET", path, stub.told({}, 429, RateLimit='"api";r=0;t=300'))
    started = time.monotonic()
    with pytest.raises(TransientError) as raised:
        hub.history(repo, stub.sha)
    assert raised.value.delay == 300
    assert time.monotonic() - started < 20


def test_a_rate_limit_with_requests_left_is_no_reason_to_wait(
    stub: Stub, hub: HuggingFaceHub, repo: Repo
) -> None:
    stub.on("GET", REFS, stub.told({}, 503, RateLimit='"api";r=499;t=295'), stub.refs())
    started = time.monotonic()
    assert hub.refs(repo) == {MAIN: stub.sha}
    assert time.monotonic() - started < 20


def test_delays_are_read_from_all_three_forms() -> None:
    date = email.utils.formatdate(time.time() + 20, usegmt=True)
    assert refusal_delay({"retry-after": "7"}) == 7
    assert 15 <= (refusal_delay({"retry-after": date}) or 0) <= 21
    assert refusal_delay({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0
    assert refusal_delay({"retry-after": "soon"}) is None
    assert refusal_delay({"ratelimit": '"api";r=0;t=12'}) == 12
    assert refusal_delay({"ratelimit": '"api";r=3;t=12'}) is None
    assert refusal_delay({"retry-after": "999999999"}) == 3600
    assert refusal_delay({}) is None


@pytest.mark.parametrize("odd", ["²", "٣", "-5", "soon", "1e3", "", "Mon, 99 Xyz"])
def test_a_delay_that_nobody_can_read_hides_no_other(odd: str) -> None:
    assert refusal_delay({"retry-after": odd}) is None
    assert refusal_delay({"retry-after": odd, "ratelimit": '"api";r=0;t=12'}) == 12


def test_a_delay_of_many_digits_is_an_hour_or_none() -> None:
    many = "9" * 5000
    assert refusal_delay({"retry-after": many}) == 3600
    assert refusal_delay({"ratelimit": f'"api";r=0;t={many}'}) in (None, 3600)


def _hang(stub: Stub) -> Answer:
    return stub.answer(hang=20)


def _hang_in_body(stub: Stub) -> Answer:
    return stub.answer(body=stub.refs().body, hang=20, before="middle")


def _trickle(stub: Stub) -> Answer:
    return stub.answer(body=stub.refs().body + b" " * 500, trickle=0.1)


def _trickle_in_redirect(stub: Stub) -> Answer:
    return stub.answer(307, b" " * 500, {"Location": REFS + "2"}, trickle=0.1)


def _trickle_headers(stub: Stub) -> Answer:
    return stub.answer(trickle_head=0.1)


def _redirects_without_end(stub: Stub) -> Answer:
    around = stub.answer(307, b"", {"Location": REFS + "2"})
    stub.on("GET", REFS + "2", around)
    return around


def _slow_redirects_without_end(stub: Stub) -> Answer:
    around = stub.answer(307, b"", {"Location": REFS + "2"}, late=0.15)
    stub.on("GET", REFS + "2", around)
    return around


def _reset(stub: Stub) -> Answer:
    return stub.answer(reset=True)


def _reset_in_body(stub: Stub) -> Answer:
    return stub.answer(body=stub.refs().body, reset=True, before="middle")


def _cut(stub: Stub) -> Answer:
    return stub.answer(body=stub.refs().body[:40], headers={"Connection": "close"})


def _page(stub: Stub) -> Answer:
    return stub.answer(body=b"<html>Welcome to the hotel</html>")


LATE = [
    _hang,
    _hang_in_body,
    _trickle,
    _trickle_in_redirect,
    _trickle_headers,
    _slow_redirects_without_end,
]
AT_ONCE = [_redirects_without_end, _reset, _reset_in_body, _cut, _page]


@pytest.mark.parametrize("broken", AT_ONCE)
def test_a_broken_answer_is_tried_again(
    stub: Stub, hub: HuggingFaceHub, repo: Repo, broken: Callable[[Stub], Answer]
) -> None:
    stub.on("GET", REFS, broken(stub), stub.refs())
    assert hub.refs(repo) == {MAIN: stub.sha}
    assert len(stub.asked("GET", REFS)) == 2


@pytest.mark.parametrize("broken", LATE)
def test_an_answer_that_does_not_come_is_asked_for_again(
    stub: Stub,
    connect: Callable[..., HuggingFaceHub],
    repo: Repo,
    broken: Callable[[Stub], Answer],
) -> None:
    stub.on("GET", REFS, broken(stub), stub.refs())
    # On a busy machine the good answer may be late as well, and be asked for once more.
    assert connect(read=0.5, answer=1.5, attempts=20).refs(repo) == {MAIN: stub.sha}
    assert len(stub.asked("GET", REFS)) >= 2


@pytest.mark.parametrize("broken", LATE + AT_ONCE)
def test_broken_answers_end_in_time(
    stub: Stub,
    connect: Callable[..., HuggingFaceHub],
    repo: Repo,
    broken: Callable[[Stub], Answer],
) -> None:
    stub.on("GET", REFS, broken(stub))
    hub = connect(read=0.2, answer=0.4)
    started = time.monotonic()
    with pytest.raises(TransientError):
        hub.refs(repo)
    assert time.monotonic() - started < 8  # redirects without end alone would take 9


def test_a_host_with_many_addresses_that_are_mute_is_given_up_in_time(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("0.0.0.0", 0), backlog=0) as mute:  # noqa: S104 - 127.0.0.0/8
        port = mute.getsockname()[1]
        kind = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
        many = [(*kind, (f"127.0.0.{n}", port)) for n in range(2, 30)]
        full = [socket.socket() for _ in range(4)]
        for one in full:  # the kernel lets nobody else in
            one.setblocking(False)
            one.connect_ex(many[0][-1])
        found = socket.getaddrinfo
        monkeypatch.setattr(
            socket,
            "getaddrinfo",
            lambda host, *a, **k: many if host == "many.example" else found(host, *a, **k),
        )
        started = time.monotonic()
        with pytest.raises(TransientError):
            HuggingFaceHub(f"http://many.example:{port}", None, _quick()).refs(repo)
        for one in full:
            one.close()
    assert time.monotonic() - started < 20  # each address by itself would make it 28


def test_nobody_listening_is_a_passing_trouble(repo: Repo) -> None:
    hub = HuggingFaceHub("http://127.0.0.1:9", None, _quick())
    with pytest.raises(TransientError):
        hub.refs(repo)


def test_an_address_that_is_none_is_permanent(repo: Repo) -> None:
    with pytest.raises(PermanentError):
        HuggingFaceHub("gopher://hub", None, _quick()).refs(repo)


def test_an_answer_of_another_shape_is_permanent(
    stub: Stub, hub: HuggingFaceHub, repo: Repo
) -> None:
    shapes: list[object] = [{}, [], {"branches": [{}]}, {"branches": 5}]
    for shape in shapes:
        stub.on("GET", REFS, stub.told(shape))
        with pytest.raises(PermanentError):
            hub.refs(repo)
    stub.on("GET", REFS, stub.refs(sha="not-a-sha"))
    with pytest.raises(PermanentError):
        hub.refs(repo)


def test_others_in_the_process_get_timeouts_but_no_errors_of_ours(
    stub: Stub, hub: HuggingFaceHub, repo: Repo
) -> None:
    hub.refs(repo)
    assert isinstance(get_session(), BoundedClient)
    stub.on("GET", REFS, stub.told({}, 500))
    with pytest.raises(HfHubHTTPError):
        HfApi(endpoint=stub.url, token=False).list_repo_refs("acme/bot")


def test_another_client_factory_is_replaced(
    stub: Stub, connect: Callable[..., HuggingFaceHub], repo: Repo
) -> None:
    hub = connect(read=0.5, attempts=20)
    set_client_factory(default_client_factory)
    assert not isinstance(get_session(), BoundedClient)
    stub.on("GET", REFS, stub.answer(hang=20), stub.refs())
    assert hub.refs(repo) == {MAIN: stub.sha}
    assert isinstance(get_session(), BoundedClient)


def _quick() -> Patience:
    return Patience(connect=0.5, read=0.5, answer=1.0, attempts=2, backoff=0.02)
