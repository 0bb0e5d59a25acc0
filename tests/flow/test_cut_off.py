"""A worker that ends while a step hangs: the step is given back, and what hangs does no harm."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from proctor.core.retry import CRASHES_ALLOWED
from proctor.core.run import RunStatus, Step, StepKind, StepState
from proctor.flow.attempt import CUT_OFF_AGAIN

if TYPE_CHECKING:
    from tests.flow.conftest import Walkthrough


class Death(BaseException):
    """The process ends here."""


def cut_off(walk: Walkthrough, *, dies: bool) -> Callable[[], None]:
    """What happens to a worker that hangs when it is told to stop; `dies`, or the answer that it
    waits for comes in the last moment."""

    def end() -> None:
        walk.stop.set()
        walk.worker.hand_back()
        if dies:
            raise Death

    return end


def standing(walk: Walkthrough, step: Step) -> Step:
    (found,) = [s for s in walk.open_steps() if s.id == step.id]
    return found


@pytest.mark.parametrize(
    ("kind", "call", "dies"),
    [
        (StepKind.PLAN, "refs", True),
        (StepKind.SYNC, "describe", False),
        (StepKind.PROMOTE, "refs", False),
        (StepKind.PROMOTE, "create_tag", True),
    ],
)
def test_what_hangs_in_a_call_of_the_hub_is_given_back(
    walk: Walkthrough, kind: StepKind, call: str, dies: bool
) -> None:
    sha = walk.push()
    step = walk.until(kind)
    for _ in range(CRASHES_ALLOWED + 2):
        walk.hub.before_next(call, cut_off(walk, dies=dies))
        if dies:
            with pytest.raises(Death):
                walk.worker.perform(step.id)
        else:
            assert walk.worker.perform(step.id)
        back = standing(walk, step)
        assert (back.state, back.attempts, back.worker) == (StepState.READY, 0, None)
        assert back.due_at == walk.clock.now() + CUT_OFF_AGAIN
        walk.stop.clear()
        assert not walk.worker_named("w2").perform(step.id)  # the dying may still send its call
        walk.clock.advance(CUT_OFF_AGAIN)
    walk.settle()
    assert walk.run(sha).status is RunStatus.PROMOTED
    assert walk.tags()["staging"] == sha
    assert "stage.held" not in walk.told()


def test_who_was_cut_off_writes_nothing_into_what_another_does(walk: Walkthrough) -> None:
    first = walk.pushed_and_settled()
    second = walk.push(0.95)
    step = walk.until(StepKind.PROMOTE)
    other = walk.worker_named("w2")

    def overtaken() -> None:
        cut_off(walk, dies=False)()
        walk.stop.clear()
        walk.clock.advance(CUT_OFF_AGAIN)
        assert other.perform(step.id)
        assert walk.tags()["staging"] == second

    walk.hub.before_next("delete_tag", overtaken)
    walk.worker.perform(step.id)  # its delete finds the tag elsewhere than it thought
    walk.settle()
    assert walk.tags()["staging"] == second != first
    assert "stage.held" not in walk.told()
    with walk.ledger.view() as view:
        outcomes = [a.outcome for a in view.attempts(StepKind.PROMOTE, step.subject)]
    assert outcomes == ["given back: the worker stops", "done"]


def test_a_check_that_may_still_run_is_left_to_its_lease(walk: Walkthrough) -> None:
    walk.push()
    step = walk.until(StepKind.CHECK)
    with walk.ledger.view() as view:
        check = view.check(step.subject)
    assert check is not None

    def end() -> None:
        walk.worker.hand_back(spare=(StepKind.CHECK,))
        assert standing(walk, step).state is StepState.RUNNING
        walk.worker.hand_back()
        assert standing(walk, step).state is StepState.READY

    measure = walk.checks[check.name]
    measure.during = lambda subject, room: end() if not measure.measured[1:] else None
    walk.worker.perform(step.id)
    assert standing(walk, step).state is StepState.READY


def test_what_came_to_its_end_is_not_given_back(walk: Walkthrough) -> None:
    sha = walk.pushed_and_settled()
    walk.worker.hand_back()
    assert not walk.open_steps()
    assert walk.run(sha).status is RunStatus.PROMOTED
