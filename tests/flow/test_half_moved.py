"""A move that stops half-way goes on; what a person does meanwhile stands."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tests.flow.test_people import holds

from proctor.core.errors import PermanentError, RepoGone, TransientError
from proctor.core.gate import AtLeast
from proctor.core.names import short
from proctor.core.promotion import PromotionStatus
from proctor.core.run import RunStatus, Step, StepKind

if TYPE_CHECKING:
    from tests.flow.conftest import Walkthrough


def prod_step(walk: Walkthrough) -> Step:
    """The step that is about to move prod."""
    while True:
        step = walk.until(StepKind.PROMOTE)
        with walk.ledger.view() as view:
            promotion = view.promotion(step.subject)
        assert promotion is not None
        if promotion.stage == "prod":
            return step
        walk.worker.perform(step.id)


def removed_and_stuck(walk: Walkthrough, error: Exception) -> None:
    """prod is removed and cannot be made for now."""
    step = prod_step(walk)
    # The release tag is made, prod is removed; what comes after is refused.
    walk.hub.before_next(
        "delete_tag", lambda: walk.hub.fail_next("create_tag", error, after_effect=False)
    )
    walk.worker.perform(step.id)
    assert "prod" not in walk.tags()


def test_what_was_removed_is_made_again_whatever_the_error(walk: Walkthrough) -> None:
    walk.pushed_and_settled()
    second = walk.push(0.95)
    removed_and_stuck(walk, PermanentError("the Hub answered 400"))
    assert walk.run(second).status is RunStatus.PROMOTING
    walk.clock.advance(61)
    walk.settle()
    assert walk.tags()["prod"] == second
    assert walk.run(second).status is RunStatus.PROMOTED


def test_a_repo_that_hides_for_a_while_is_no_end(walk: Walkthrough) -> None:
    """Access is lost for one look and one try; then it is back."""
    walk.pushed_and_settled()
    second = walk.push(0.95)
    removed_and_stuck(walk, PermanentError("the Hub answered 400"))
    walk.mail.clear()
    hidden = RepoGone("the repo does not exist, or the token cannot see it")
    walk.hub.fail_next("find", hidden)
    walk.look()
    walk.drain()
    walk.hub.fail_next("refs", hidden)
    (step,) = walk.open_steps()
    walk.clock.advance(61)
    walk.worker.perform(step.id)
    walk.settle(rounds=500)
    assert walk.tags()["prod"] == second
    assert walk.run(second).status is RunStatus.PROMOTED
    assert not {"run.failed", "stage.held"} & set(walk.told())


def test_a_repo_that_stays_away_is_asked_for_once_an_hour(walk: Walkthrough) -> None:
    walk.pushed_and_settled()
    second = walk.push(0.95)
    removed_and_stuck(walk, TransientError("503"))
    walk.mail.clear()
    gone = RepoGone("the repo does not exist")
    walk.hub.fail_next("find", gone)
    walk.look()
    walk.drain()
    walk.hub.fail_next("refs", gone, times=9)
    waits = []
    for _ in range(9):
        (step,) = [s for s in walk.open_steps() if s.kind is StepKind.PROMOTE]
        walk.clock.advance(max(0.0, step.due_at - walk.clock.now()))
        began = walk.clock.now()
        assert walk.worker.perform(step.id)
        (again,) = [s for s in walk.open_steps() if s.kind is StepKind.PROMOTE]
        waits.append(again.due_at - began)
    assert waits == [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]
    walk.settle(rounds=500)
    assert walk.run(second).status is RunStatus.PROMOTED
    assert walk.told().count("promotion.half_moved") == 1


def test_a_tag_that_a_person_put_back_meanwhile_is_left_alone(walk: Walkthrough) -> None:
    first = walk.pushed_and_settled()
    second = walk.push(0.95)
    removed_and_stuck(walk, TransientError("503"))
    walk.hub.move_tag(walk.repo, "prod", first)
    walk.clock.advance(61)
    walk.settle()
    assert walk.tags()["prod"] == first
    assert walk.run(second).status is RunStatus.WAITING
    assert "stage.held" in walk.told()


def test_what_we_made_and_a_person_removed_stays_removed(walk: Walkthrough) -> None:
    """The answer to our create was lost, its webhook was not."""
    walk.pushed_and_settled()
    second = walk.push(0.95)
    step = prod_step(walk)
    lost = TransientError("the answer was lost")
    walk.hub.before_next(
        "delete_tag", lambda: walk.hub.fail_next("create_tag", lost, after_effect=True)
    )
    walk.worker.perform(step.id)
    assert walk.tags()["prod"] == second
    walk.deliver_all()
    walk.drain()
    walk.hub.remove_tag(walk.repo, "prod")
    walk.clock.advance(61)
    walk.settle()
    assert "prod" not in walk.tags()
    assert [reason for reason in holds(walk) if "prod is gone" in reason] == [
        f"tag prod is gone; Proctor left it at {short(second)}"
    ]
    assert walk.run(second).status is RunStatus.WAITING
    assert walk.told().count("stage.held") == 1
    for waiting in walk.ask.release("acme/bot", "prod", False, "ada").wake:
        walk.queue.wake(waiting)
    walk.settle()
    assert walk.tags()["prod"] == second
    assert walk.run(second).status is RunStatus.PROMOTED


def test_the_gate_is_asked_again_until_the_stage_is_touched(walk: Walkthrough) -> None:
    first = walk.pushed_and_settled(0.95)
    second = walk.push(0.9)
    step = prod_step(walk)
    walk.hub.fail_next("delete_tag", TransientError("503"))
    walk.worker.perform(step.id)
    (pipeline,) = walk.rules.pipelines
    stricter = replace(pipeline, gate=(AtLeast("full/acc", 0.93),))
    walk.configure(replace(walk.rules, pipelines=(stricter,)))
    walk.clock.advance(61)
    walk.settle()
    assert walk.tags()["prod"] == first
    assert walk.run(second).status is RunStatus.FAILED


def test_restore_after_a_rollback_leads_to_where_the_rollback_led(walk: Walkthrough) -> None:
    before = walk.pushed_and_settled(0.9)
    walk.pushed_and_settled(0.95)
    for step in walk.ask.rollback("acme/bot", "prod", None, "ada").wake:
        walk.queue.wake(step)
    walk.settle()
    assert walk.tags()["prod"] == before
    weak = walk.pushed_and_settled(0.2)
    walk.hub.move_tag(walk.repo, "prod", weak)
    walk.settle()
    for step in walk.ask.release("acme/bot", "prod", False, "ada").wake:
        walk.queue.wake(step)
    walk.settle()
    assert walk.tags()["prod"] == before


def test_the_record_of_a_failed_move_tells_what_was_done_from_what_was_meant(
    walk: Walkthrough,
) -> None:
    walk.pushed_and_settled(0.95)
    walk.push(0.9)
    step = prod_step(walk)
    walk.hub.fail_next("delete_tag", TransientError("503"))
    walk.worker.perform(step.id)  # makes the release tag, and cannot remove prod
    (pipeline,) = walk.rules.pipelines
    stricter = replace(pipeline, gate=(AtLeast("full/acc", 0.93),))
    walk.configure(replace(walk.rules, pipelines=(stricter,)))
    walk.clock.advance(61)
    walk.mail.clear()  # no echo tells of it
    walk.settle()
    with walk.ledger.view() as view:
        promotion = view.promotion(step.subject)
        journal = view.operations(step.subject)
    assert promotion is not None and promotion.status is PromotionStatus.FAILED
    assert [(o.kind.value, o.tag, o.observed_at is not None) for o in journal] == [
        ("create", "prod-2", True),
        ("delete", "prod", False),
    ]
