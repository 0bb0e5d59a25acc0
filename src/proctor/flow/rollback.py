"""Rollback: to which revision of a stage's past a person can return."""

from __future__ import annotations

from proctor.core.errors import Refused
from proctor.core.names import Repo, Revision, short
from proctor.core.promotion import PromotionStatus, Stay, stays
from proctor.core.rule import Rules
from proctor.ports.ledger import View


def past(view: View, hub_id: str, stage: str) -> tuple[tuple[Stay, ...], tuple[Stay, ...]]:
    """Every proven stay in the stage, oldest first, and those to which a rollback leads step by
    step: the last of them is the next."""
    newest_first = view.promotions(hub_id=hub_id, stage=stage)
    done = [p for p in reversed(newest_first) if p.status is PromotionStatus.DONE]
    every, line = stays(done)
    now = _now(view, hub_id, stage)
    places = [n for n, s in enumerate(line) if s.revision == now]
    return every, line[: places[-1]] if places else line


def was_in(view: View, hub_id: str, stage: str, revision: Revision) -> bool:
    """Whether a verdict brought the revision into the stage at some time."""
    return any(s.revision == revision for s in past(view, hub_id, stage)[0])


def target(view: View, repo: Repo, stage: str, to: str | None) -> Stay:
    """Where a rollback leads: the stay before the present one, or the one that `to` begins. Raises
    Refused with what there is to choose from."""
    every, line = past(view, repo.hub_id, stage)
    now = _now(view, repo.hub_id, stage)
    others = [s for s in every if s.revision != now]
    shas = ", ".join(dict.fromkeys(short(s.revision) for s in others))
    choice = f"choose with --to: {shas}" if shas else "there is nothing to go back to"
    if to is None:
        if line:
            return line[-1]
        before = f" before {short(now)}, where it is now" if now else ""
        raise Refused(f"no verdict put anything in {stage} of {repo.name}{before}; {choice}")
    found = [s for s in others if s.revision.startswith(to)]
    if not found and now is not None and now.startswith(to):
        raise Refused(f"{stage} of {repo.name} is already at {short(now)}")
    if not found:
        raise Refused(
            f"no verdict ever put {to} in {stage} of {repo.name}, and a rollback returns only to "
            f"what was proven; {choice}"
        )
    if len({s.revision for s in found}) > 1:
        several = ", ".join(sorted({s.revision[:12] for s in found}))
        raise Refused(f"{to} is the beginning of several revisions: {several}")
    return found[-1]


def still_to_come(view: View, rules: Rules, hub_id: str, stage: str) -> str:
    """Which open runs will move the stage when they pass, in words; "" where there are none."""
    told = []
    for run in reversed(view.runs(hub_id=hub_id, open_only=True)):
        pipeline = rules.pipeline(run.pipeline)
        been = (p for p in view.promotions(run_id=run.id) if p.stage == stage)
        if pipeline is None or stage not in pipeline.promote:
            continue
        if not any(p.status is PromotionStatus.DONE and p.cause == "verdict" for p in been):
            what = f"run {run.id} of {short(run.revision)}"
            told.append(f"{what} is open and will promote to {stage} when it passes")
    return "; ".join(told)


def _now(view: View, hub_id: str, stage: str) -> Revision | None:
    head = view.stage_head(hub_id, stage)
    return head.revision if head else None
