"""The Hub is down, slow, forgetful, or somebody else's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from proctor.core.errors import RevisionGone, TagGone, TransientError
from proctor.core.names import RepoType
from proctor.core.retry import PATIENCE
from proctor.core.run import RunStatus, StepKind

if TYPE_CHECKING:
    from tests.flow.conftest import Walkthrough


CALLS = ["find", "refs", "describe", "history", "create_tag", "delete_tag"]


@pytest.mark.parametrize("call", CALLS)
def test_a_transient_error_anywhere_only_costs_time(walk: Walkthrough, call: str) -> None:
    walk.pushed_and_settled()
    walk.hub.fail_next(call, TransientError("429", delay=40), times=2)
    began = walk.clock.now()
    second = walk.pushed_and_settled(0.95)
    assert walk.run(second).status is RunStatus.PROMOTED
    assert walk.tags()["prod"] == second
    assert walk.clock.now() - began >= 80
    assert walk.told() == ["promotion.done"] * 4


def test_the_delay_that_the_hub_asks_for_is_honoured(walk: Walkthrough) -> None:
    walk.hub.fail_next("find", TransientError("429", delay=100))
    walk.push()
    walk.deliver_all()
    walk.drain()
    (step,) = walk.open_steps()
    wait = step.due_at - walk.clock.now()
    assert 100 <= wait <= 110  # not all who were told so at once
    assert step.attempts == 0  # the world's trouble is not ours
    walk.clock.advance(99)
    assert not walk.worker.perform(step.id)
    walk.clock.advance(wait - 99)
    assert walk.worker.perform(step.id)


def test_waits_grow_and_after_a_day_it_gives_up(walk: Walkthrough) -> None:
    sha = walk.push()
    walk.until(StepKind.SYNC)
    walk.hub.fail_next("describe", TransientError("503 for good"), times=100_000)
    (step,) = walk.open_steps()
    waits = []
    began = walk.clock.now()
    while walk.open_steps() and walk.run(sha).status is RunStatus.PLANNED:
        assert walk.worker.perform(step.id)
        again = [s for s in walk.open_steps() if s.id == step.id]
        if again:
            waits.append(again[0].due_at - walk.clock.now())
            walk.clock.advance(waits[-1])
    assert waits[0] <= 1.0
    assert 150 <= waits[-1] <= 300
    assert PATIENCE <= walk.clock.now() - began <= PATIENCE + 600
    run = walk.run(sha)
    assert run.status is RunStatus.FAILED
    assert run.reason == "gave up after 24 h of trying: 503 for good"
    walk.settle()
    assert walk.told() == ["run.failed"]


def test_a_repo_that_is_gone_is_marked_so_and_its_events_rejected(walk: Walkthrough) -> None:
    walk.pushed_and_settled()
    walk.hub.delete_repo(walk.repo)
    walk.settle()
    assert walk.dispositions()[-1] == "rejected"
    with walk.ledger.view() as view:
        known = view.known_repo(walk.repo.hub_id)
    assert known is not None
    assert known.gone_because
    assert walk.why()["runs"]


def test_a_name_taken_over_by_a_stranger_is_left_alone(walk: Walkthrough) -> None:
    good = walk.pushed_and_settled()
    old, theirs = walk.repo, walk.hub.takeover(walk.repo)
    walk.look(old)
    walk.settle()
    with walk.ledger.view() as view:
        known, new = view.known_repo(old.hub_id), view.known_repo(theirs.hub_id)
        old_runs = view.runs(hub_id=old.hub_id)
    assert known is not None
    assert "is now another repo" in known.gone_because or "no model" in known.gone_because
    assert new is not None
    assert not new.gone_because
    assert walk.tags(theirs) == {}
    assert [r.revision for r in old_runs] == [good]
    # the name now means the one that answers
    assert all(r["repo"] == "acme/bot" for r in _list(walk.why()["runs"]))
    assert walk.why()["revision"] != good


def test_a_promotion_never_touches_a_strangers_repo(walk: Walkthrough) -> None:
    good = walk.push()
    step = walk.until(StepKind.PROMOTE)
    theirs = walk.hub.takeover(walk.repo)
    walk.worker.perform(step.id)
    walk.settle()
    assert walk.tags(theirs) == {}
    assert walk.run(good).status is RunStatus.FAILED
    assert "another repo" in walk.run(good).reason


def test_a_renamed_repo_goes_on_under_its_new_name(walk: Walkthrough) -> None:
    walk.pushed_and_settled()
    renamed = walk.hub.rename(walk.repo, "acme/robot")
    walk.settle()
    second = walk.push(0.95, renamed)
    walk.settle()
    assert walk.tags(renamed)["prod"] == second
    assert walk.run(second).repo_name == "acme/robot"


def test_a_repo_renamed_whose_old_name_was_taken_is_found_by_what_was_told(
    walk: Walkthrough,
) -> None:
    walk.pushed_and_settled()
    renamed = walk.hub.rename(walk.repo, "acme/robot")
    walk.hub.create_repo(RepoType.MODEL, "acme/bot")
    second = walk.push(0.95, renamed)
    walk.settle()
    assert walk.tags(renamed)["prod"] == second


def test_a_revision_that_is_gone_fails_the_run(walk: Walkthrough) -> None:
    walk.hub.fail_next("describe", RevisionGone("no such commit"))
    sha = walk.pushed_and_settled()
    assert walk.run(sha).status is RunStatus.FAILED
    assert walk.run(sha).reason == "no such commit"


def test_no_tag_is_removed_for_a_revision_that_is_gone(walk: Walkthrough) -> None:
    first = walk.pushed_and_settled()
    second = walk.push(0.95)
    step = walk.until(StepKind.PROMOTE)
    walk.hub.fail_next("history", RevisionGone("history was squashed"))
    walk.worker.perform(step.id)
    walk.settle()
    assert walk.tags()["staging"] == first
    assert "history was squashed" in walk.run(second).reason


@pytest.mark.parametrize("call", ["create_tag", "delete_tag"])
@pytest.mark.parametrize("nth", [1, 2, 3])
def test_a_lost_answer_is_looked_up_not_guessed(walk: Walkthrough, call: str, nth: int) -> None:
    first = walk.pushed_and_settled()
    second = walk.push(0.95)
    for _ in range(nth - 1):
        walk.hub.before_next(call, lambda: None)
    walk.hub.fail_next(call, TransientError("connection reset"), after_effect=True)
    walk.settle()
    assert walk.tags() == {"staging": second, "prod": second, "prod-1": first, "prod-2": second}
    moves = [(m.ref, m.new) for m in walk.hub.moves if m.by == "proctor"]
    assert len(moves) == len(set(moves)) == 3 + 5
    assert all(d in ("ran", "echo") for d in walk.dispositions())


def test_a_tag_that_exists_already_or_is_gone_is_looked_at_again(walk: Walkthrough) -> None:
    first = walk.pushed_and_settled()
    second = walk.push(0.95)
    step = walk.until(StepKind.PROMOTE)
    # what is in between sends our call twice, and answers with the second's answer
    walk.hub.fail_next("delete_tag", TagGone("acme/bot has no tag staging"), after_effect=True)
    # somebody does just what we are about to do
    walk.hub.before_next("create_tag", lambda: walk.hub.move_tag(walk.repo, "staging", second))
    walk.worker.perform(step.id)
    walk.settle()
    assert walk.run(second).status is RunStatus.PROMOTED
    assert walk.tags() == {"staging": second, "prod": second, "prod-1": first, "prod-2": second}


def test_exists_is_no_proof_of_where_a_tag_points(walk: Walkthrough) -> None:
    old = walk.hub.refs(walk.repo)["refs/heads/main"]
    good = walk.push()
    step = walk.until(StepKind.PROMOTE)
    walk.hub.before_next("create_tag", lambda: walk.hub.move_tag(walk.repo, "staging", old))
    walk.worker.perform(step.id)
    walk.settle()
    assert walk.run(good).status is RunStatus.WAITING
    assert walk.tags() == {"staging": old}


def test_a_release_number_that_a_person_took_is_passed_over(walk: Walkthrough) -> None:
    old = walk.hub.refs(walk.repo)["refs/heads/main"]
    for n in (1, 2, 3):
        walk.hub.move_tag(walk.repo, f"prod-{n}", old)
    good = walk.pushed_and_settled()
    assert walk.tags()["prod-4"] == walk.tags()["prod"] == good
    assert [walk.tags()[f"prod-{n}"] for n in (1, 2, 3)] == [old] * 3
    second = walk.pushed_and_settled(0.95)
    assert walk.tags()["prod-5"] == second


def test_many_taken_numbers_are_passed_over_in_time(walk: Walkthrough) -> None:
    old = walk.hub.refs(walk.repo)["refs/heads/main"]
    for n in range(1, 31):
        walk.hub.move_tag(walk.repo, f"prod-{n}", old)
    good = walk.pushed_and_settled()
    assert walk.tags()["prod-31"] == good


def test_a_tag_that_is_moved_for_ever_is_not_fought_over(walk: Walkthrough) -> None:
    """Someone else's machine removes our tag each time."""
    good = walk.push()
    step = walk.until(StepKind.PROMOTE)
    for _ in range(20):
        walk.hub.before_next("create_tag", lambda: None)
    for _ in range(30):
        walk.hub.before_next("refs", lambda: _remove(walk, "staging"))
    walk.worker.perform(step.id)
    (again,) = [s for s in walk.open_steps() if s.id == step.id]
    assert again.due_at >= walk.clock.now() + 30
    assert "do not settle" in (again.error or "")
    assert walk.run(good).status is RunStatus.PROMOTING


def _remove(walk: Walkthrough, tag: str) -> None:
    if f"refs/tags/{tag}" in walk.hub._named(RepoType.MODEL, "acme/bot").refs:
        walk.hub.remove_tag(walk.repo, tag)


def _list(value: object) -> list[dict[str, Any]]:
    assert isinstance(value, list)
    return value
