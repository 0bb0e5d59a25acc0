"""What does not come soon is left to the step: of many repos that hang, few threads wait long."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from proctor.core.errors import TransientError
from proctor.core.names import Repo
from proctor.hub import HuggingFaceHub

if TYPE_CHECKING:
    from tests.hub.conftest import Stub

REFS = "/api/models/acme/bot/refs"
MAIN = "refs/heads/main"


def test_what_hangs_for_long_is_left_to_the_step(
    stub: Stub, connect: Callable[..., HuggingFaceHub], repo: Repo
) -> None:
    stub.on("GET", REFS, stub.answer(hang=20))
    hub = connect(read=0.5, brisk=0.3)
    with pytest.raises(TransientError):
        hub.refs(repo)
    assert len(stub.asked("GET", REFS)) == 1


def test_a_wait_that_is_not_brisk_is_left_to_the_step(
    stub: Stub, connect: Callable[..., HuggingFaceHub], repo: Repo
) -> None:
    stub.on("GET", REFS, stub.told({}, 429, Retry_After="30"))
    started = time.monotonic()
    with pytest.raises(TransientError) as raised:
        connect(longest_wait=60, brisk=20).refs(repo)
    assert raised.value.delay == 30
    assert time.monotonic() - started < 20


def test_of_many_repos_that_hang_one_costs_much_time_and_the_others_little(
    stub: Stub, connect: Callable[..., HuggingFaceHub], repo: Repo
) -> None:
    stub.on("GET", REFS, stub.answer(hang=20))
    hub = connect(read=2.0, answer=2.0, brisk=0.2, wary=1000)
    took = [_seconds_until_refused(hub, repo) for _ in range(4)]
    assert took[0] >= 1.9
    assert max(took[1:]) < 1.9
    stub.on("GET", REFS, stub.refs())
    assert _heard(hub, repo) == {MAIN: stub.sha}  # who answers is heard all the time


def _heard(hub: HuggingFaceHub, repo: Repo) -> Mapping[str, str]:
    """The refs, as soon as they come in the little time that there is for them."""
    until = time.monotonic() + 60
    while True:
        try:
            return hub.refs(repo)
        except TransientError:
            assert time.monotonic() < until


def test_what_is_slow_but_comes_is_waited_for_again_after_a_while(
    stub: Stub,
    connect: Callable[..., HuggingFaceHub],
    repo: Repo,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    later = [0.0]
    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + later[0])
    monkeypatch.setattr("proctor.hub.wire.time", clock)
    hub = connect(brisk=0.2, wary=1000)
    stub.on("GET", REFS, stub.answer(hang=0.3, reset=True))
    _seconds_until_refused(hub, repo)
    refs = stub.refs()
    stub.on("GET", REFS, stub.answer(body=refs.body, late=1.2))
    for later[0] in (0.0, 500.0):  # what is cut short does not make it last
        _seconds_until_refused(hub, repo)
    later[0] = 1100.0
    assert hub.refs(repo) == {MAIN: stub.sha}


def _seconds_until_refused(hub: HuggingFaceHub, repo: Repo) -> float:
    started = time.monotonic()
    with pytest.raises(TransientError):
        hub.refs(repo)
    return time.monotonic() - started
