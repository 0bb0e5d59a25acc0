"""What the fakes add to the contract: faults, races, news."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from proctor.core.errors import PermanentError, TagExists, TransientError
from proctor.core.evidence import Json
from proctor.core.names import RepoType, tag_ref
from proctor.core.payload import parse
from proctor.testing import FakeClock, FakeHub


def test_work_can_be_lost_before_or_after_it_is_done() -> None:
    hub = FakeHub()
    repo = hub.create_repo(RepoType.MODEL, "acme/bot")
    head = hub.commit(repo, {"a": b"a"})
    hub.fail_next("create_tag", TransientError("refused"))
    with pytest.raises(TransientError):
        hub.create_tag(repo, "prod", head, "")
    assert tag_ref("prod") not in hub.refs(repo)
    hub.fail_next("create_tag", TransientError("answer lost"), after_effect=True)
    with pytest.raises(TransientError):
        hub.create_tag(repo, "prod", head, "")
    assert hub.refs(repo)[tag_ref("prod")] == head
    with pytest.raises(PermanentError):
        hub.fail_next("creat_tag", TransientError("misspelt"))


def test_a_person_can_act_between_look_and_write() -> None:
    hub = FakeHub()
    repo = hub.create_repo(RepoType.MODEL, "acme/bot")
    first, second = hub.commit(repo, {"a": b"1"}), hub.commit(repo, {"a": b"2"})
    hub.before_next("create_tag", lambda: hub.move_tag(repo, "prod", second))
    with pytest.raises(TagExists):
        hub.create_tag(repo, "prod", first, "")
    assert [(move.new, move.by) for move in hub.moves if move.ref == tag_ref("prod")] == [
        (second, "person")
    ]


def test_every_change_is_told_as_a_webhook_that_we_can_read() -> None:
    news: list[Mapping[str, Json]] = []
    hub = FakeHub(on_change=news.append)
    repo = hub.create_repo(RepoType.MODEL, "acme/bot")
    head = hub.commit(repo, {"a": b"a"})
    hub.create_tag(repo, "prod", head, "")
    hub.delete_tag(repo, "prod", head)
    number, proposed = hub.open_pull_request(repo, {"b": b"b"})
    hub.comment(repo, number, "/rerun")
    hub.set_private(repo, True)
    renamed = hub.rename(repo, "acme/bot-two")
    hub.delete_repo(renamed)
    read = [parse(json.dumps(body).encode()) for body in news]
    assert [(p.action, p.scope) for p in read] == [
        ("create", "repo"),
        ("update", "repo.content"),
        ("update", "repo.content"),
        ("update", "repo.content"),
        ("update", "repo.content"),
        ("create", "discussion"),
        ("create", "discussion.comment"),
        ("update", "repo.config"),
        ("move", "repo"),
        ("delete", "repo"),
    ]
    moved = [(u.ref, u.old, u.new) for p in read for u in p.updates]
    assert moved[1:] == [
        (tag_ref("prod"), None, head),
        (tag_ref("prod"), head, None),
        (f"refs/pr/{number}", None, proposed),
    ]
    assert {p.repo_id for p in read} == {repo.hub_id}
    assert read[6].comment == "/rerun"
    assert read[8].moved_to == "acme/bot-two"


def test_news_may_call_the_hub_again() -> None:
    heads: list[object] = []
    hub = FakeHub(on_change=lambda _: heads.extend(hub.heads("acme", RepoType.MODEL)))
    hub.create_repo(RepoType.MODEL, "acme/bot")
    assert len(heads) == 1


def test_the_clock_stands_until_told() -> None:
    clock = FakeClock(start=1000.0)
    ids = [clock.new_id() for _ in range(3)]
    clock.advance(5)
    ids.append(clock.new_id())
    assert ids == sorted(set(ids))
    assert {len(made) for made in ids} == {26}
    assert (clock.now(), clock.monotonic()) == (1005.0, 5.0)
    clock.jump(-100)
    assert (clock.now(), clock.monotonic()) == (905.0, 5.0)
    assert [FakeClock(seed=3).random() for _ in range(2)] == [FakeClock(seed=3).random()] * 2
