"""Restore: putting a stage's tag back to where Proctor left it, after a person put it elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from proctor.core.errors import Refused
from proctor.core.names import Repo, Revision, short
from proctor.core.promotion import Promotion
from proctor.core.rule import Rules
from proctor.core.run import Step
from proctor.flow.rollback import past
from proctor.flow.runs import new_promotion, plan_step, start_promotion
from proctor.ports.clock import Clock
from proctor.ports.ledger import Transaction


def restoration(
    tx: Transaction,
    clock: Clock,
    rules: Rules,
    repo: Repo,
    stage: str,
    found: Revision | None,
    by: str,
) -> Promotion:
    """The promotion that leads from where the tag was `found` to where the stage was left, if a
    verdict brought that there: nothing unproven is moved, not even back (P5). Raises Refused."""
    head = tx.stage_head(repo.hub_id, stage)
    accept = f"proctor release {repo.name} {stage} --accept"
    if head is None:
        raise Refused(
            f"{stage} of {repo.name} was nowhere before it was put where it is by hand, so there "
            f"is nothing to restore. To keep the tag where it is: {accept}"
        )
    every, _ = past(tx, repo.hub_id, stage)
    run_ids = [s.run_id for s in every if s.revision == head.revision]
    if not run_ids:
        raise Refused(
            f"{stage} of {repo.name} was left at {short(head.revision)}, where no verdict brought "
            "it: Proctor puts back only what was proven, and no run waits for this stage. Put "
            f"the tag where you want it, then: {accept}"
        )
    run = tx.run(run_ids[-1])
    if run is None:
        raise Refused(f"the run of {short(head.revision)} is no longer on record")
    promotion = new_promotion(tx, clock, rules, run, stage, cause="restore", by=by)
    return replace(promotion, expected=found)


def instead(
    tx: Transaction, clock: Clock, rules: Rules, repo: Repo, overtaken: Promotion
) -> Sequence[Step]:
    """What is put into the place of a promotion that was overtaken before it began.

    Mostly nothing, as where another leads the stage on. But where it was to lead on from where a
    person put the tag, and they let it do so, the stage is to be Proctor's again: then the tag goes
    back to where the stage was left. Where it cannot, a look makes it a hold again.
    """
    head = tx.stage_head(repo.hub_id, overtaken.stage)
    if tx.promotions(hub_id=repo.hub_id, stage=overtaken.stage, open_only=True, limit=1):
        return ()
    if overtaken.expected == (head.revision if head else None):
        return ()
    try:
        promotion = restoration(
            tx, clock, rules, repo, overtaken.stage, overtaken.expected, overtaken.by
        )
    except Refused:
        return (tx.add_step(plan_step(clock, repo.hub_id)),)
    return (start_promotion(tx, clock, promotion),)
