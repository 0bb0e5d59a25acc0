"""A token that the Hub refuses: what needs it waits for a person, and people are told once."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from proctor.core.errors import AccessDenied, RepoGone, TokenRefused, TransientError
from proctor.core.names import RepoType
from proctor.core.retry import LONGEST_WAIT
from proctor.core.rule import Match, Pipeline, Rules
from proctor.core.run import RunStatus, StepKind

if TYPE_CHECKING:
    from tests.flow.conftest import MakeWalk, Walkthrough

CALLS = ["find", "refs", "describe", "history", "create_tag", "delete_tag"]


@pytest.mark.parametrize("call", CALLS)
def test_refused_access_waits_and_goes_on_by_itself(walk: Walkthrough, call: str) -> None:
    walk.pushed_and_settled()
    walk.hub.fail_next(call, AccessDenied("403: hf_secret may not do this"), times=5)
    began = walk.clock.now()
    sha = walk.push(0.95)
    walk.settle()
    assert walk.clock.now() - began >= 5 * LONGEST_WAIT
    assert walk.run(sha).status is RunStatus.PROMOTED
    assert walk.tags()["prod"] == sha
    assert walk.told().count("step.paused") == 1
    assert "run.failed" not in walk.told()
    (said,) = [n for n in walk.channels["team"].sent if n.kind == "step.paused"]
    assert "403: *** may not do this" in said.text
    assert "acme/bot" in said.title


def test_a_snapshot_that_is_refused_pauses_the_check(walk: Walkthrough) -> None:
    sha = walk.push(AccessDenied("403: the repo is gated"))
    step = walk.until(StepKind.ANNOUNCE)
    why: Any = walk.why(sha)
    (run,) = why["runs"]
    assert run["status"] == "checking"
    (waiting,) = [s for s in run["steps"] if s["kind"] == "check"]
    assert waiting["error"] == "access denied: 403: the repo is gated"
    assert waiting["due_at"] == walk.clock.now() + LONGEST_WAIT
    assert [n["kind"] for n in run["notices"]] == ["step.paused"]
    walk.finds(sha, 0.9)
    walk.worker.perform(step.id)
    walk.settle()
    assert walk.run(sha).status is RunStatus.PROMOTED
    (said, *_) = walk.channels["team"].sent
    assert said.title == f"Paused: check of full for acme/bot@{sha[:8]}"


def test_a_day_without_access_is_given_up(walk: Walkthrough) -> None:
    walk.hub.fail_next("describe", AccessDenied("403"), times=100_000)
    sha = walk.push()
    walk.settle(rounds=2_000, pace=120.0)
    run = walk.run(sha)
    assert (run.status, run.reason) == (RunStatus.FAILED, "gave up after 24 h of trying: 403")
    assert walk.told() == ["step.paused", "run.failed"]


def test_an_outage_in_between_is_the_same_trouble(walk: Walkthrough) -> None:
    walk.hub.fail_next("describe", AccessDenied("403"))
    walk.hub.fail_next("describe", TransientError("503"))
    walk.hub.fail_next("describe", AccessDenied("403"))
    walk.pushed_and_settled()
    assert walk.told().count("step.paused") == 1


def test_trouble_that_comes_back_is_told_again(walk: Walkthrough) -> None:
    for acc in (0.9, 0.95):
        walk.hub.fail_next("find", AccessDenied("403"))
        walk.pushed_and_settled(acc)
    assert walk.told().count("step.paused") == 2


def test_one_repos_refusal_stops_no_other(walk: Walkthrough) -> None:
    other = walk.hub.create_repo(walk.repo.type, "acme/other")
    walk.mail.clear()
    walk.hub.fail_next("describe", AccessDenied("403"))
    first = walk.push()
    for _ in range(3):
        walk.deliver_all()
        walk.drain()
    second = walk.push(repo=other)
    for _ in range(3):
        walk.deliver_all()
        walk.drain()
    assert walk.run(second).status is RunStatus.PROMOTED
    assert walk.run(first).status is RunStatus.PLANNED


def test_of_a_repo_that_no_pipeline_covers_nobody_is_told(make_walk: MakeWalk) -> None:
    walk = make_walk(name="zoo/cat")
    walk.hub.fail_next("find", AccessDenied("403"))
    walk.pushed_and_settled()
    assert walk.dispositions() == ["filtered"]
    assert walk.told() == walk.told("log") == []


def test_a_refusal_is_not_taken_for_a_repo_that_is_gone(walk: Walkthrough) -> None:
    walk.hub.fail_next("find", AccessDenied("403"))
    walk.hub.fail_next("find", RepoGone("404"))
    walk.pushed_and_settled()
    assert walk.dispositions() == ["rejected"]


def test_one_revoked_token_is_one_notice_a_day(walk: Walkthrough) -> None:
    names = [f"acme/r{n}" for n in range(5)]
    repos = [walk.hub.create_repo(RepoType.MODEL, name) for name in names]
    walk.settle()
    before = len(walk.told())
    walk.hub.fail_next("find", TokenRefused("401: hf_secret was revoked"), times=1000)
    for repo in repos:
        walk.push(repo=repo)
    walk.deliver_all()
    walk.drain()
    assert walk.told()[before:] == ["token.refused"]
    (said,) = [n for n in walk.channels["team"].sent if n.kind == "token.refused"]
    assert "hf_secret" not in said.text
    hours_left = 24 - datetime.fromtimestamp(walk.clock.now(), UTC).hour
    for _ in range(hours_left):
        walk.clock.advance(3600)
        walk.sweep.once()
        walk.drain()
    assert walk.told()[before:] == ["token.refused"] * 2  # it lasts


def test_a_sweep_that_is_refused_tells_people(walk: Walkthrough) -> None:
    walk.hub.fail_next("heads", TokenRefused("401"), times=100)
    for _ in range(3):
        assert walk.reconcile.once().trouble
        walk.settle()
    assert walk.told() == ["token.refused"]
    walk.hub.fail_next("find", TokenRefused("401"))
    walk.pushed_and_settled()
    assert walk.told().count("token.refused") == 1
    assert "step.paused" not in walk.told()


def test_everybody_is_told_of_a_refused_token(
    make_walk: MakeWalk, rules: Rules, chat: Pipeline
) -> None:
    others = replace(chat, name="others", match=Match("other/*"), notify=("other",))
    walk = make_walk(replace(rules, pipelines=(chat, others)))
    walk.hub.fail_next("find", TokenRefused("401"))
    walk.pushed_and_settled()
    assert walk.told().count("token.refused") == 1
    assert walk.told("other") == ["token.refused"]
