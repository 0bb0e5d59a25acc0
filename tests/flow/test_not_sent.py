"""What Proctor meant to do and certainly did not is no excuse for what a person does."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.flow.test_half_moved import prod_step
from tests.flow.test_people import holds

from proctor.core.errors import ProctorError, TransientError
from proctor.core.gate import AtLeast
from proctor.core.promotion import PromotionStatus
from proctor.core.run import RunStatus, Step

if TYPE_CHECKING:
    from tests.flow.conftest import Walkthrough


def refused(delay: float = 3600.0) -> ProctorError:
    """The Hub is busy, says so, and does nothing."""
    error = TransientError("the Hub answered 429", delay=delay)
    error.without_effect = True
    return error


def refused_step(walk: Walkthrough, call: str = "delete_tag") -> Step:
    """The step that moves prod, which the Hub refused for now."""
    step = prod_step(walk)
    walk.hub.fail_next(call, refused())
    walk.worker.perform(step.id)
    return step


def journal(walk: Walkthrough, step: Step) -> list[tuple[str, str]]:
    with walk.ledger.view() as view:
        return [(o.kind.value, o.tag) for o in view.operations(step.subject)]


def prod_by_us(walk: Walkthrough) -> int:
    """How often Proctor moved prod."""
    return len([m for m in walk.hub.moves if (m.by, m.ref) == ("proctor", "refs/tags/prod")])


def test_a_tag_removed_while_the_hub_refuses_ours_stays_removed(walk: Walkthrough) -> None:
    walk.pushed_and_settled()
    second = walk.push(0.95)
    step = refused_step(walk)
    assert journal(walk, step) == [("create", "prod-2")]
    walk.clock.advance(1800)
    walk.hub.remove_tag(walk.repo, "prod")
    moves = prod_by_us(walk)
    walk.deliver_all()
    walk.drain()
    walk.clock.advance(3600)
    walk.settle()
    assert "prod" not in walk.tags()
    assert prod_by_us(walk) == moves
    assert ["tag prod is gone" in reason for reason in holds(walk)] == [True]
    assert walk.told().count("stage.held") == 1
    assert walk.run(second).status is RunStatus.WAITING


def test_a_tag_removed_between_the_look_and_our_delete_stays_removed(walk: Walkthrough) -> None:
    walk.pushed_and_settled()
    walk.push(0.95)
    step = prod_step(walk)
    walk.hub.before_next("delete_tag", lambda: walk.hub.remove_tag(walk.repo, "prod"))
    walk.worker.perform(step.id)
    walk.settle()
    assert "prod" not in walk.tags()
    assert len(holds(walk)) == 1
    assert journal(walk, step) == [("create", "prod-2")]
    assert walk.dispositions()[-1] == "filtered"


def test_a_removal_that_was_taken_for_our_echo_is_looked_at_again(walk: Walkthrough) -> None:
    """A look comes while our call is on its way, and finds it on record."""
    walk.pushed_and_settled()
    walk.push(0.95)
    step = prod_step(walk)
    walk.deliver_all()
    walk.drain()

    def meanwhile() -> None:
        walk.hub.remove_tag(walk.repo, "prod")
        walk.deliver_all()
        walk.drain(walk.worker_named("w2"))
        assert walk.dispositions()[-1] == "echo"

    walk.hub.before_next("delete_tag", meanwhile)
    walk.worker.perform(step.id)
    assert walk.dispositions()[-1] == "pending"
    walk.settle()
    assert walk.dispositions()[-1] == "filtered"
    assert len(holds(walk)) == 1


def test_the_gate_is_asked_again_although_the_tag_is_gone(walk: Walkthrough) -> None:
    walk.pushed_and_settled(0.95)
    second = walk.push(0.9)
    refused_step(walk)
    (pipeline,) = walk.rules.pipelines
    stricter = replace(pipeline, gate=(AtLeast("full/acc", 0.93),))
    walk.configure(replace(walk.rules, pipelines=(stricter,)))
    walk.hub.remove_tag(walk.repo, "prod")
    walk.clock.advance(3601)
    walk.settle()
    assert "prod" not in walk.tags()
    assert walk.run(second).status is RunStatus.FAILED
    assert len(holds(walk)) == 1


def test_what_may_have_been_sent_stays_on_record(walk: Walkthrough) -> None:
    """A later try that proves to have sent nothing says nothing of an earlier one."""
    walk.pushed_and_settled()
    second = walk.push(0.95)
    step = prod_step(walk)
    walk.hub.fail_next("delete_tag", TransientError("no answer"), after_effect=True)
    walk.hub.before_next("create_tag", lambda: None)  # the release tag
    walk.worker.perform(step.id)
    assert journal(walk, step) == [("create", "prod-2"), ("delete", "prod")]
    walk.hub.fail_next("create_tag", refused(60.0), times=2)
    walk.clock.advance(61)
    walk.settle()
    assert walk.tags()["prod"] == second
    assert walk.run(second).status is RunStatus.PROMOTED


def test_a_refusal_after_a_lost_call_leaves_that_on_record(walk: Walkthrough) -> None:
    walk.pushed_and_settled()
    walk.push(0.95)
    step = prod_step(walk)
    walk.hub.fail_next("delete_tag", TransientError("no answer"))
    walk.worker.perform(step.id)
    walk.hub.fail_next("delete_tag", refused())
    walk.clock.advance(61)
    assert walk.worker.perform(step.id)
    assert journal(walk, step) == [("create", "prod-2"), ("delete", "prod")]


def test_a_tag_put_back_while_the_hub_refuses_to_make_ours_is_left_alone(
    walk: Walkthrough,
) -> None:
    """That we meant to make it is off the record; that we saw it gone is not."""
    first = walk.pushed_and_settled()
    second = walk.push(0.95)
    step = prod_step(walk)
    walk.hub.before_next("delete_tag", lambda: walk.hub.fail_next("create_tag", refused()))
    walk.worker.perform(step.id)
    assert "prod" not in walk.tags()
    assert journal(walk, step) == [("create", "prod-2"), ("delete", "prod")]
    walk.hub.move_tag(walk.repo, "prod", first)
    walk.clock.advance(3601)
    walk.settle()
    assert walk.tags()["prod"] == first
    assert walk.run(second).status is RunStatus.WAITING


@pytest.mark.parametrize("sent", [False, True])
def test_a_promotion_of_which_nothing_was_sent_has_not_begun(walk: Walkthrough, sent: bool) -> None:
    walk.push()
    step = prod_step(walk)
    walk.hub.fail_next("create_tag", TransientError("no answer") if sent else refused())
    walk.worker.perform(step.id)
    with walk.ledger.view() as view:
        promotion = view.promotion(step.subject)
    assert promotion is not None
    assert promotion.status is (PromotionStatus.MOVING if sent else PromotionStatus.PLANNED)
    assert journal(walk, step) == ([("create", "prod-1")] if sent else [])


def test_who_lost_the_step_takes_nothing_off_the_record(walk: Walkthrough) -> None:
    """Another worker may have sent what this one did not."""
    walk.pushed_and_settled()
    second = walk.push(0.95)
    step = prod_step(walk)

    def frozen() -> None:
        walk.clock.advance(61)
        walk.sweep.once()
        walk.hub.fail_next("delete_tag", TransientError("no answer"), after_effect=True)
        walk.worker_named("w2").perform(step.id)

    walk.hub.before_next("delete_tag", frozen)
    walk.worker.perform(step.id)
    assert ("delete", "prod") in journal(walk, step)
    walk.settle()
    assert walk.tags()["prod"] == second
