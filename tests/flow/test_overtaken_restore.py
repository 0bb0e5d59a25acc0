"""A person lets a run go on from where they put a tag, and a newer push overtakes the run."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.flow.conftest import Walkthrough

from proctor.core.names import Revision
from proctor.core.run import RunStatus, StepKind
from proctor.flow.restore import instead


def held(walk: Walkthrough, stage: str, *, removed: bool) -> Revision | None:
    """A person moves or removes the stage's tag, and a look finds it; where the tag is now."""
    if removed:
        walk.hub.remove_tag(walk.repo, stage)
    else:
        hers = walk.hub.commit(walk.repo, {"notes.md": b"mine"}, ref="refs/heads/hers")
        walk.hub.move_tag(walk.repo, stage, hers)
    walk.settle()
    return walk.tags().get(stage)


@pytest.mark.parametrize("removed", [True, False])
@pytest.mark.parametrize("acc", [0.1, 0.97])
def test_the_tag_goes_back_and_then_where_the_newer_push_leads(
    walk: Walkthrough, removed: bool, acc: float
) -> None:
    first = walk.pushed_and_settled()
    theirs = held(walk, "staging", removed=removed)
    second = walk.push(0.95)
    walk.until(StepKind.PROMOTE)
    walk.ask.release(walk.repo.name, "staging", False, "ana")  # and its hint is late
    third = walk.push(acc)
    walk.deliver_all()
    walk.drain()
    (run,) = walk.runs(second)
    assert run.status is RunStatus.SUPERSEDED
    walk.settle()
    assert walk.tags()["staging"] == (third if acc > 0.8 else first) != theirs
    with walk.ledger.view() as view:
        assert not view.holds()
        assert not view.promotions(hub_id=walk.repo.hub_id, open_only=True)
        causes = [p.cause for p in view.promotions(hub_id=walk.repo.hub_id, stage="staging")]
    assert "restore" in causes


def test_where_nothing_can_be_put_back_it_is_a_hold_again(walk: Walkthrough) -> None:
    old = walk.hub.commit(walk.repo, {"old.md": b"before Proctor"})
    walk.hub.move_tag(walk.repo, "staging", old)
    walk.settle()  # adopted: no verdict brought it there
    theirs = held(walk, "staging", removed=False)
    second = walk.push(0.95)
    walk.until(StepKind.PROMOTE)
    walk.ask.release(walk.repo.name, "staging", False, "ana")
    walk.push(0.1)
    walk.settle()
    (run,) = walk.runs(second)
    assert run.status is RunStatus.SUPERSEDED
    assert walk.tags()["staging"] == theirs
    with walk.ledger.view() as view:
        (hold,) = view.holds()
    assert hold.found == theirs


def test_where_another_promotion_leads_the_stage_on_nothing_is_put_back(walk: Walkthrough) -> None:
    walk.pushed_and_settled()
    theirs = held(walk, "staging", removed=False)
    walk.push(0.95)
    other = walk.until(StepKind.PROMOTE)
    with walk.ledger.transaction() as tx:
        promotion = tx.promotion(other.subject)
        assert promotion is not None
        overtaken = replace(promotion, id="another", expected=theirs)
        assert instead(tx, walk.clock, walk.rules, walk.repo, overtaken) == ()
