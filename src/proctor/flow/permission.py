"""Whether a promotion may touch its stage: the proof it needs, and its turn (P5)."""

from __future__ import annotations

from dataclasses import dataclass

from proctor.core.errors import PermanentError, TransientError
from proctor.core.gate import Result
from proctor.core.names import Repo, Revision, short
from proctor.core.promotion import Promotion, PromotionStatus
from proctor.core.rule import Pipeline, Rules, deciding, match
from proctor.core.run import Run
from proctor.flow.rollback import was_in
from proctor.ports.ledger import View

UNJUDGED_AGAIN = 30.0
"""Seconds until a promotion is tried again that waits for the verdict of another pipeline."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What speaks for a revision in a stage. `run` is the newest that passed; `missing` says what
    it lacks, and `coming` which verdicts are yet to come, in words."""

    run: Run | None
    missing: tuple[str, ...]
    coming: tuple[str, ...]


def proof(view: View, rules: Rules, repo: Repo, revision: Revision, stage: str) -> Proof:
    """The one rule of what may move to a stage.

    Every pipeline that decides on the stage (`deciding`) must have passed exactly this revision:
    by its newest verdict, under the gate and the checks as they stand. One that looks at another
    ref, where this revision never was, has no say in it.
    """
    covering = match(rules.pipelines, repo.type, repo.name)
    runs = view.runs(hub_id=repo.hub_id, revision=revision)
    seen = {ref for ref, sha in view.refs_seen(repo.hub_id).items() if sha == revision}
    seen |= {run.ref for run in runs}
    passed: list[Run] = []
    missing: list[str] = []
    coming: list[str] = []
    for pipeline in deciding(covering, stage):
        of_pipeline = [run for run in runs if run.pipeline == pipeline.name]
        if not of_pipeline and pipeline.match.ref not in seen:
            continue
        run = next((run for run in of_pipeline if view.verdict(run.id)), None)
        if run is not None:
            lack = _lack(view, run, pipeline)
            if lack is None:
                passed.append(run)
            else:
                missing.append(lack)
        elif not of_pipeline:
            again = f"proctor rerun {repo.name}@{short(revision)} --pipeline {pipeline.name}"
            missing.append(f"pipeline {pipeline.name} has not judged it; for that: {again}")
        else:
            last = of_pipeline[0]
            text = f"run {last.id} ({pipeline.name}) is {last.status.value} and has no verdict"
            (missing if last.status.ended else coming).append(text)
    if not (passed or missing or coming):
        kind = f"{repo.type.value} {repo.name}"
        missing.append(
            f"no pipeline that decides on {stage} looks at a ref where it was"
            if covering
            else f"no pipeline matches {kind}"
        )
    newest = next((run for run in runs if run in passed), None)
    return Proof(newest, tuple(missing), tuple(coming))


def _lack(view: View, run: Run, pipeline: Pipeline) -> str | None:
    """Why the verdict of a run is no proof, or None."""
    verdict = view.verdict(run.id)
    if verdict is None or verdict.verdict.result is not Result.PASS:
        said = verdict.verdict.result.value if verdict else "nothing"
        return f"run {run.id} ({pipeline.name}) says {said}"
    if verdict.gate_digest != pipeline.gate_digest():
        return (
            f"run {run.id} passed under another gate: the checks or the gate of pipeline "
            f"{pipeline.name} changed after the verdict, or what is in the folders that they name; "
            "restart Proctor if it was not since, and judge again with: "
            f"proctor rerun {run.repo_name}@{short(run.revision)} --pipeline {pipeline.name}"
        )
    return None


def may_begin(view: View, rules: Rules, promotion: Promotion) -> None:
    """Raises PermanentError where nothing may move, and TransientError while another promotion
    has moved this stage half-way, or another pipeline has yet to judge the revision. A rollback
    needs no fresh verdict, but one that brought the revision into the stage; a restore is the
    word of a person on what was in the stage already."""
    if promotion.cause == "rollback":
        if not was_in(view, promotion.hub_id, promotion.stage, promotion.revision):
            sha, stage = short(promotion.revision), promotion.stage
            raise PermanentError(f"{sha} is not proven: no verdict ever put it in {stage}")
    elif promotion.cause != "restore":
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
    run, known = view.run(promotion.run_id), view.known_repo(promotion.hub_id)
    if run is None or known is None:
        return f"what {short(promotion.revision)} was promoted for is no longer on record"
    pipeline = rules.pipeline(run.pipeline)
    stage = promotion.stage
    if promotion.cause == "verdict" and (pipeline is None or stage not in pipeline.promote):
        return f"pipeline {run.pipeline} no longer promotes to {stage}"
    found = proof(view, rules, known.repo, promotion.revision, stage)
    if found.missing:
        return f"{short(promotion.revision)} is not proven: {'; '.join(found.missing)}"
    if found.coming:
        waits = f"{short(promotion.revision)} waits for a verdict: {'; '.join(found.coming)}"
        raise TransientError(waits, delay=UNJUDGED_AGAIN)
    return None
