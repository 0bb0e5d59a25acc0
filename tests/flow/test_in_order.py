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
