"""Whose doing it is when a person and Proctor do the same, or nearly, at nearly the same time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.flow.test_people import holds, released

from proctor.core.names import Revision, short
from proctor.core.run import RunStatus, StepKind

if TYPE_CHECKING:
    from tests.flow.conftest import Walkthrough


@pytest.mark.parametrize("call", ["refs", "delete_tag"])
def test_a_tag_that_a_person_puts_where_we_are_heading_is_held(
    walk: Walkthrough, call: str
) -> None:
    """They may want it to stay there, and the next push must not take it on."""
    walk.pushed_and_settled()
    second = hurried(walk, call)
    assert [reason.partition(";")[0] for reason in holds(walk)] == [
        f"tag staging points at {short(second)}"
    ]
    assert walk.told().count("stage.held") == 1
    assert walk.run(second).status is RunStatus.WAITING
    third = walk.pushed_and_settled(0.97)
    assert walk.tags()["staging"] == second
    assert walk.run(third).status is RunStatus.WAITING
    assert walk.told().count("stage.held") == 1


def test_who_was_quicker_may_keep_the_tag_or_let_the_run_go_on(walk: Walkthrough) -> None:
    walk.pushed_and_settled()
    second = hurried(walk, "delete_tag")
    assert "prod-2" not in walk.tags()
    released(walk, accept=False)
    assert walk.tags()["staging"] == walk.tags()["prod"] == walk.tags()["prod-2"] == second
    assert walk.run(second).status is RunStatus.PROMOTED
    third = hurried(walk, "delete_tag")
    said = released(walk, accept=True)
    assert said == f"staging is accepted at {short(third)}"
    assert (walk.tags()["staging"], walk.tags()["prod"]) == (third, second)
    assert walk.run(third).status is RunStatus.HELD
    fourth = walk.pushed_and_settled(0.98)
    assert walk.tags()["staging"] == walk.tags()["prod"] == fourth
    assert holds(walk) == []


def hurried(walk: Walkthrough, call: str) -> Revision:
    """A good push, whose stage a person moves to it in our `call`; returns it, all settled."""
    pushed = walk.push(0.96)
    step = walk.until(StepKind.PROMOTE)
    walk.hub.before_next(call, lambda: walk.hub.move_tag(walk.repo, "staging", pushed))
    walk.worker.perform(step.id)
    walk.settle()
    return pushed


def test_a_persons_move_to_an_older_push_is_not_taken_for_ours(walk: Walkthrough) -> None:
    """Its webhook comes when the tag is back where we put it, and that of ours is still to come."""
    walk.pushed_and_settled()
    older = walk.pushed_and_settled(0.1)
    walk.pushed_and_settled(0.2)
    walk.hub.move_tag(walk.repo, "staging", older)
    (theirs,) = walk.mail
    walk.mail.clear()
    walk.look()
    walk.drain()
    for step in walk.ask.release("acme/bot", "staging", accept=False, by="ada").wake:
        walk.queue.wake(step)
    walk.drain()
    ours, walk.mail = walk.mail, [theirs]
    walk.deliver_all()
    walk.drain()
    assert walk.dispositions()[-1] == "filtered"
    walk.mail = ours
    walk.settle()
    assert walk.dispositions()[-2:] == ["echo", "echo"]
