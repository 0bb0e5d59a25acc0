"""Writes: made once, to the right repo, and no answer is trusted."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from proctor.core.errors import (
    AccessDenied,
    PermanentError,
    ProctorError,
    RepoGone,
    RepoReplaced,
    RevisionGone,
    TagExists,
    TagGone,
    TagMoved,
    TransientError,
)
from proctor.core.names import Repo
from proctor.hub import HuggingFaceHub

if TYPE_CHECKING:
    from tests.hub.conftest import Answer, Stub

DELETE = "/api/models/acme/bot/tag/prod"
REFS = "/api/models/acme/bot/refs"


@pytest.fixture
def in_prod(stub: Stub) -> None:
    """The tag `prod` is there."""
    stub.on("GET", REFS, stub.refs(prod=stub.sha))
    stub.on("DELETE", DELETE, stub.told({}))


def _create(sha: str, name: str = "acme/bot") -> str:
    return f"/api/models/{name}/tag/{sha}"


def _lost(stub: Stub) -> Answer:
    return stub.answer(reset=True)


def _late(stub: Stub) -> Answer:
    return stub.answer(hang=20)


def _failed(stub: Stub) -> Answer:
    return stub.told({}, 500)


@pytest.fixture
def connect_for(
    connect: Callable[..., HuggingFaceHub],
) -> Callable[[Callable[[Stub], Answer]], HuggingFaceHub]:
    """Make an adapter that does not wait long for an answer that never comes."""

    def made(broken: Callable[[Stub], Answer]) -> HuggingFaceHub:
        return connect(read=0.5) if broken is _late else connect()

    return made


def _refused(
    stub: Stub, broken: Callable[[Stub], Answer], method: str, path: str, write: Callable[[], None]
) -> ProctorError:
    """What a write raises that was sent. With little patience the look before it may have been
    given up, on a busy machine: then it is made again."""
    for _ in range(20 if broken is _late else 1):
        with pytest.raises(ProctorError) as raised:
            write()
        if stub.asked(method, path):
            break
    assert len(stub.asked(method, path)) == 1
    return raised.value


@pytest.mark.usefixtures("in_prod")
@pytest.mark.parametrize("broken", [_lost, _late, _failed])
def test_a_write_whose_answer_is_lost_is_not_repeated(
    stub: Stub,
    connect_for: Callable[..., HuggingFaceHub],
    repo: Repo,
    broken: Callable[[Stub], Answer],
) -> None:
    hub, create = connect_for(broken), _create(stub.sha)
    stub.on("POST", create, broken(stub), stub.told({}))
    stub.on("DELETE", DELETE, broken(stub), stub.told({}))
    for method, path, write in (
        ("POST", create, lambda: hub.create_tag(repo, "prod", stub.sha, "passed")),
        ("DELETE", DELETE, lambda: hub.delete_tag(repo, "prod", stub.sha)),
    ):
        assert isinstance(_refused(stub, broken, method, path, write), TransientError)
    assert len(stub.asked("POST", create)) == 1
    assert len(stub.asked("DELETE", DELETE)) == 1


def test_a_tag_says_where_it_points_and_why(stub: Stub, hub: HuggingFaceHub, repo: Repo) -> None:
    stub.on("POST", _create(stub.sha), stub.told({}))
    hub.create_tag(repo, "prod", stub.sha, "passed the exam")
    [seen] = stub.asked("POST", _create(stub.sha))
    assert json.loads(seen.body) == {"tag": "prod", "message": "passed the exam"}
    assert seen.headers["authorization"] == f"Bearer {stub.token}"


@pytest.mark.parametrize("status", [301, 302, 303])
def test_a_redirect_that_drops_the_write_is_no_success(
    stub: Stub, hub: HuggingFaceHub, repo: Repo, status: int
) -> None:
    elsewhere = _create(stub.sha, "acme/elsewhere")
    stub.on("POST", _create(stub.sha), stub.answer(status, headers={"Location": elsewhere}))
    stub.on("GET", elsewhere, stub.told({"looks": "fine"}))
    with pytest.raises(PermanentError, match="nothing was written"):
        hub.create_tag(repo, "prod", stub.sha, "passed")
    assert stub.asked("POST", elsewhere) == []


def test_a_redirect_that_keeps_the_write_is_followed(
    stub: Stub, hub: HuggingFaceHub, repo: Repo
) -> None:
    elsewhere = _create(stub.sha, "acme/elsewhere")
    stub.on("POST", _create(stub.sha), stub.answer(307, headers={"Location": elsewhere}))
    stub.on("POST", elsewhere, stub.told({}))
    hub.create_tag(repo, "prod", stub.sha, "passed")
    assert len(stub.asked("POST", elsewhere)) == 1


def test_writes_go_to_the_current_name(stub: Stub, hub: HuggingFaceHub, repo: Repo) -> None:
    moved = stub.answer(307, headers={"Location": "/api/models/acme/bot-two"})
    stub.on("GET", "/api/models/acme/bot", moved)
    stub.on("GET", "/api/models/acme/bot-two", stub.identity(name="acme/bot-two"))
    stub.on("POST", _create(stub.sha, "acme/bot-two"), stub.told({}))
    hub.create_tag(repo, "prod", stub.sha, "passed")
    assert stub.asked("POST", _create(stub.sha)) == []
    assert len(stub.asked("POST", _create(stub.sha, "acme/bot-two"))) == 1


def test_a_stranger_is_never_written_to(stub: Stub, hub: HuggingFaceHub, repo: Repo) -> None:
    stub.on("GET", "/api/models/acme/bot", stub.identity(hub_id="b" * 24))
    with pytest.raises(RepoReplaced):
        hub.create_tag(repo, "prod", stub.sha, "passed")
    with pytest.raises(RepoReplaced):
        hub.delete_tag(repo, "prod", stub.sha)
    assert {seen.method for seen in stub.seen} == {"GET"}


@pytest.mark.usefixtures("in_prod")
def test_refusals_of_writes(stub: Stub, hub: HuggingFaceHub, repo: Repo) -> None:
    no_repo = stub.told({}, 404, X_Error_Code="RepoNotFound")
    no_revision = stub.told({}, 404, X_Error_Code="RevisionNotFound")
    of_create: list[tuple[Answer, type[ProctorError]]] = [
        (stub.told({}, 409), TagExists),
        (no_revision, RevisionGone),
        (no_repo, RepoGone),
        (stub.told({}, 403), AccessDenied),
    ]
    for answer, expected in of_create:
        stub.on("POST", _create(stub.sha), answer)
        with pytest.raises(expected):
            hub.create_tag(repo, "prod", stub.sha, "passed")
    of_delete: list[tuple[Answer, type[ProctorError]]] = [
        (stub.told({}, 404), TagGone),
        (no_revision, TagGone),
        (no_repo, RepoGone),
        (stub.told({}, 403), AccessDenied),
    ]
    for answer, expected in of_delete:
        stub.on("DELETE", DELETE, answer)
        with pytest.raises(expected):
            hub.delete_tag(repo, "prod", stub.sha)


@pytest.mark.usefixtures("in_prod")
def test_nothing_comes_between_the_last_look_and_the_removal(
    stub: Stub, hub: HuggingFaceHub, repo: Repo
) -> None:
    """The name is the repo's, the tag is where it was seen, away with it."""
    hub.delete_tag(repo, "prod", stub.sha)
    asked = [(seen.method, seen.path) for seen in stub.seen]
    assert asked == [("GET", "/api/models/acme/bot"), ("GET", REFS), ("DELETE", DELETE)]


@pytest.mark.usefixtures("in_prod")
def test_a_tag_that_was_moved_meanwhile_is_left_alone(
    stub: Stub, hub: HuggingFaceHub, repo: Repo
) -> None:
    stub.on("GET", REFS, stub.refs(prod="b" * 40))
    with pytest.raises(TagMoved, match="bbbbbbbb"):
        hub.delete_tag(repo, "prod", stub.sha)
    stub.on("GET", REFS, stub.refs(staging=stub.sha))
    with pytest.raises(TagGone):
        hub.delete_tag(repo, "prod", stub.sha)
    assert stub.asked("DELETE", DELETE) == []


def _busy(stub: Stub) -> Answer:
    return stub.told({}, 429, Retry_After="1")


@pytest.mark.usefixtures("in_prod")
@pytest.mark.parametrize("broken", [_lost, _late, _failed, _busy])
def test_a_look_that_cannot_be_had_at_once_removes_nothing(
    stub: Stub,
    connect: Callable[..., HuggingFaceHub],
    repo: Repo,
    broken: Callable[[Stub], Answer],
) -> None:
    hub = connect(read=0.5, attempts=20) if broken is _late else connect()
    stub.on("GET", REFS, broken(stub), stub.refs(prod=stub.sha))
    with pytest.raises(TransientError):
        hub.delete_tag(repo, "prod", stub.sha)
    assert len(stub.asked("GET", REFS)) == 1
    assert stub.asked("DELETE", DELETE) == []


@pytest.mark.usefixtures("in_prod")
@pytest.mark.parametrize("broken", [_lost, _late, _failed, _busy])
def test_a_look_that_failed_says_that_nothing_was_removed(
    stub: Stub,
    connect_for: Callable[..., HuggingFaceHub],
    repo: Repo,
    broken: Callable[[Stub], Answer],
) -> None:
    hub = connect_for(broken)
    for looked_at in ("/api/models/acme/bot", REFS):
        stub.on("GET", looked_at, *[broken(stub)] * 3)
        with pytest.raises(TransientError) as raised:
            hub.delete_tag(repo, "prod", stub.sha)
        assert raised.value.without_effect
        stub.on("GET", "/api/models/acme/bot", stub.identity())


def _elsewhere(stub: Stub) -> Answer:
    """It is to be asked of a host that does not listen."""
    return stub.answer(307, headers={"Location": stub.nobody})


def _gone(stub: Stub) -> Answer:
    return stub.told({}, 404)


def _timed_out(stub: Stub) -> Answer:
    return stub.told({}, 408)


def _there(stub: Stub) -> Answer:
    return stub.told({}, 409)


def _denied(stub: Stub) -> Answer:
    return stub.told({}, 403)


def _malformed(stub: Stub) -> Answer:
    return stub.told({}, 422)


@pytest.mark.usefixtures("in_prod")
@pytest.mark.parametrize(
    ("answer", "without_effect"),
    [
        (_busy, True),
        (_denied, True),
        (_malformed, True),
        (_elsewhere, True),
        (_lost, False),
        (_late, False),
        (_failed, False),
        (_timed_out, False),
        (_there, False),
        (_gone, False),
    ],
)
def test_a_write_says_whether_it_was_certainly_not_made(
    stub: Stub,
    connect_for: Callable[..., HuggingFaceHub],
    repo: Repo,
    answer: Callable[[Stub], Answer],
    without_effect: bool,
) -> None:
    hub, create = connect_for(answer), _create(stub.sha)
    stub.on("DELETE", DELETE, answer(stub))
    of_delete = _refused(
        stub, answer, "DELETE", DELETE, lambda: hub.delete_tag(repo, "prod", stub.sha)
    )
    assert of_delete.without_effect is without_effect
    if answer is not _gone:
        stub.on("POST", create, answer(stub))
        of_create = _refused(
            stub, answer, "POST", create, lambda: hub.create_tag(repo, "prod", stub.sha, "passed")
        )
        assert of_create.without_effect is without_effect


@pytest.mark.usefixtures("in_prod")
@pytest.mark.parametrize("looked_at", ["/api/models/acme/bot", REFS])
def test_a_look_that_takes_long_removes_nothing(
    stub: Stub, connect: Callable[..., HuggingFaceHub], repo: Repo, looked_at: str
) -> None:
    """Each byte comes in time, and all of them too late."""
    answer = stub.refs(prod=stub.sha) if looked_at == REFS else stub.identity()
    stub.on("GET", looked_at, replace(answer, trickle=0.1))
    hub = connect(read=5, answer=60, fresh=0.5)
    with pytest.raises(TransientError):
        hub.delete_tag(repo, "prod", stub.sha)
    assert stub.asked("DELETE", DELETE) == []


@pytest.mark.usefixtures("in_prod")
def test_a_hub_that_was_busy_is_asked_whose_name_it_is_until_it_says_so_at_once(
    stub: Stub, hub: HuggingFaceHub, repo: Repo
) -> None:
    stub.on("GET", "/api/models/acme/bot", _busy(stub), stub.identity())
    hub.delete_tag(repo, "prod", stub.sha)
    asked = [(seen.method, seen.path) for seen in stub.seen]
    assert asked[-3:] == [("GET", "/api/models/acme/bot"), ("GET", REFS), ("DELETE", DELETE)]
