"""Promotions that were decided and not begun: what a person's word on their stage does to them.

A hold is met when a promotion begins. One that is still to begin when the hold is settled is as
much part of what was settled as a run that met it and waits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from proctor.core.errors import Refused
from proctor.core.promotion import Promotion, PromotionStatus
from proctor.core.record import Hold
from proctor.core.run import RunStatus, Step, StepKind
from proctor.flow.runs import promote_step
from proctor.ports.clock import Clock
from proctor.ports.ledger import Transaction, View


def planned(view: View, hub_id: str, stage: str) -> Sequence[Promotion]:
    """Promotions to the stage that nobody began, newest first."""
    found = view.promotions(hub_id=hub_id, stage=stage, open_only=True)
    return [p for p in found if p.status is PromotionStatus.PLANNED]


def go_on(
    tx: Transaction, clock: Clock, hold: Hold, promotions: Sequence[Promotion]
) -> Sequence[Step]:
    """Let them begin from where the tag is now; returns the steps to wake."""
    wake = []
    for each in promotions:
        # The step first: whoever begins the promotion holds that one too, and then it is theirs.
        wake.append(tx.add_step(promote_step(clock, each)))
        now = tx.promotion(each.id)
        if now is not None and now.status is PromotionStatus.PLANNED:
            tx.save(replace(now, expected=hold.found))
    return wake


def end(tx: Transaction, clock: Clock, promotions: Sequence[Promotion], reason: str) -> None:
    """They do not begin, and their runs end: the tag stays where the person wants it. Raises
    Refused where one has begun meanwhile: what has begun is not left half done."""
    now = clock.now()
    for each in promotions:
        tx.cancel_steps(StepKind.PROMOTE, each.id, reason)
        current = tx.promotion(each.id)
        if current is None or current.status is not PromotionStatus.PLANNED:
            raise Refused(f"a promotion to {each.stage} has just begun ({each.id}); ask again")
        status = PromotionStatus.CANCELLED
        tx.save(replace(current, status=status, reason=reason, ended_at=now))
        run = tx.run(each.run_id) if each.cause == "verdict" else None
        if run is not None and not run.status.ended:
            tx.save(replace(run, status=RunStatus.HELD, reason=reason, updated_at=now))
