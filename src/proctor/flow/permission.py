"""Whether a promotion may touch its stage: the proof it needs, and its turn (P5)."""

from __future__ import annotations

from proctor.core.errors import PermanentError, TransientError
from proctor.core.gate import Result
from proctor.core.names import short
from proctor.core.promotion import Promotion, PromotionStatus
from proctor.core.rule import Rules
from proctor.ports.ledger import View


def may_begin(view: View, rules: Rules, promotion: Promotion) -> None:
    """Raises PermanentError where nothing may move, and TransientError while another promotion
    has moved this stage half-way. Returning to a revision that was in the stage needs no fresh
    verdict."""
    if promotion.cause not in ("rollback", "restore"):
        refusal = _unproven(view, rules, promotion)
        if refusal:
            raise PermanentError(refusal)
    others = view.promotions(hub_id=promotion.hub_id, stage=promotion.stage, open_only=True)
    for other in others:
        if other.id != promotion.id and other.status is PromotionStatus.MOVING:
            raise TransientError(f"promotion {other.id} is moving {other.stage}", delay=10)


def refused_by_now(view: View, rules: Rules, promotion: Promotion) -> str | None:
    """Why a move that was meant and not yet made must not be made any more, or None. Raises
    TransientError as `may_begin`."""
    try:
        may_begin(view, rules, promotion)
    except PermanentError as error:
        return str(error)
    return None


def _unproven(view: View, rules: Rules, promotion: Promotion) -> str | None:
    run, verdict = view.run(promotion.run_id), view.verdict(promotion.run_id)
    if run is None or verdict is None or verdict.verdict.result is not Result.PASS:
        return f"no passing verdict for {short(promotion.revision)}"
    pipeline = rules.pipeline(run.pipeline)
    if promotion.cause == "verdict" and pipeline and promotion.stage not in pipeline.promote:
        return f"pipeline {run.pipeline} no longer promotes to {promotion.stage}"
    if pipeline is None or pipeline.gate_digest() != verdict.gate_digest:
        return (
            f"the checks or the gate of pipeline {run.pipeline} changed after the verdict, or "
            "what is in the folders that they name; restart Proctor if it was not since, and "
            f"judge again with: proctor rerun {run.repo_name}@{short(run.revision)}"
        )
    return None
