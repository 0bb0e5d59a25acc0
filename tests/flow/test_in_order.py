"""What was decided later stays, whichever is carried out first."""

from __future__ import annotations

from tests.flow.conftest import Walkthrough

from proctor.core.promotion import PromotionStatus
from proctor.core.run import RunStatus, StepKind


def test_what_a_person_asked_for_earlier_does_not_undo_what_was_decided_since(
    walk: Walkthrough,
) -> None:
    walk.pushed_and_settled()
    hers = walk.hub.commit(walk.repo, {"notes.md": b"mine"}, ref="refs/heads/hers")
    walk.hub.move_tag(walk.repo, "prod", hers)
    walk.settle()  # a look finds it: a hold
    second = walk.push(0.95)
    to_staging = walk.until(StepKind.PROMOTE)
    (late,) = walk.ask.release(walk.repo.name, "prod", False, "ana").wake  # its hint is lost
    walk.clock.advance(1)
    walk.worker.perform(to_staging.id)
    walk.drain()  # prod is still hers: another hold
    (resumed,) = walk.ask.release(walk.repo.name, "prod", False, "ana").wake
    walk.worker.perform(resumed.id)
    (run,) = walk.runs(second)
    assert run.status is RunStatus.PROMOTED

    walk.worker.perform(late.id)
    walk.settle()
    assert walk.hub.refs(walk.repo)["refs/tags/prod"] == second
    with walk.ledger.view() as view:
        promotion = view.promotion(late.subject)
    assert promotion is not None and promotion.status is PromotionStatus.CANCELLED
    assert "decided later" in promotion.reason


def test_restore_lets_a_promotion_that_is_on_its_way_go_on(walk: Walkthrough) -> None:
    """It was decided under the hold, and no worker has met the hold yet."""
    first = walk.pushed_and_settled()
    walk.hub.move_tag(
        walk.repo, "staging", walk.hub.commit(walk.repo, {"n": b""}, ref="refs/heads/x")
    )
    walk.settle()
    second = walk.push(0.95)
    planned = walk.until(StepKind.PROMOTE)
    asked = walk.ask.release(walk.repo.name, "staging", False, "ana")
    assert asked.id == planned.subject
    walk.settle()
    refs = walk.hub.refs(walk.repo)
    assert (refs["refs/tags/staging"], refs["refs/tags/prod"]) == (second, second)
    with walk.ledger.view() as view:
        assert not view.holds(hub_id=walk.repo.hub_id)
    assert first != second


def test_accept_ends_a_promotion_that_is_on_its_way(walk: Walkthrough) -> None:
    walk.pushed_and_settled()
    theirs = walk.hub.commit(walk.repo, {"n": b""}, ref="refs/heads/x")
    walk.hub.move_tag(walk.repo, "staging", theirs)
    walk.settle()
    second = walk.push(0.95)
    walk.until(StepKind.PROMOTE)
    walk.ask.release(walk.repo.name, "staging", True, "ana")
    walk.settle()
    assert walk.hub.refs(walk.repo)["refs/tags/staging"] == theirs
    (run,) = walk.runs(second)
    assert run.status is RunStatus.HELD and "by hand" in run.reason
    with walk.ledger.view() as view:
        assert not view.holds(hub_id=walk.repo.hub_id)
        assert not view.promotions(hub_id=walk.repo.hub_id, open_only=True)
