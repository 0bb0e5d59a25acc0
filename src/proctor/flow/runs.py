"""How a run begins, goes on and ends: what several steps write in the same way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from proctor.core import compose
from proctor.core.names import Repo, RepoType, Revision, short
from proctor.core.planning import Start
from proctor.core.promotion import PROVING, Promotion, PromotionStatus
from proctor.core.rule import Pipeline, Rules
from proctor.core.run import CheckStatus, Run, RunCheck, RunStatus, Step, StepKind
from proctor.flow.outbox import tell
from proctor.ports.clock import Clock
from proctor.ports.ledger import Transaction

QueueOf = Callable[[RunCheck], str]
"""Which queue a check's step goes on ("io" or "eval")."""

Link = Callable[[RepoType, str, Revision | None], str]
"""The address of a page about a repo, or one of its revisions, for notices."""


def new_run(clock: Clock, repo: Repo, start: Start, event_id: str | None, begins_at: float) -> Run:
    """A run of what was found to be started, told by the event, that may begin at `begins_at`."""
    now = clock.now()
    return Run(
        id=clock.new_id(),
        hub_id=repo.hub_id,
        repo_type=repo.type,
        repo_name=repo.name,
        revision=start.revision,
        ref=start.pipeline.match.ref,
        pipeline=start.pipeline.name,
        created_at=now,
        updated_at=now,
        number=start.number,
        again_of=start.again_of,
        event_id=event_id,
        begins_at=begins_at,
    )


def start_run(tx: Transaction, clock: Clock, run: Run, pipeline: Pipeline) -> Step:
    """Add a run with its checks; returns the sync step that carries it on once it may begin."""
    tx.add(run)
    tx.add_all(
        [
            RunCheck(
                id=clock.new_id(),
                run_id=run.id,
                name=spec.name,
                use=spec.use,
                parameters=spec.parameters,
                needs=spec.needs,
                content=spec.content,
            )
            for spec in pipeline.checks
        ]
    )
    return tx.add_step(replace(sync_step(clock, run.hub_id, run.revision), due_at=run.begins_at))


def plan_step(clock: Clock, hub_id: str) -> Step:
    """The step that looks at a repo, now. One look serves all who ask before it starts."""
    return Step(
        id=clock.new_id(),
        kind=StepKind.PLAN,
        subject=hub_id,
        queue="io",
        due_at=clock.now(),
        lock=f"plan:{hub_id}",
    )


def sync_step(clock: Clock, hub_id: str, revision: Revision) -> Step:
    """The step that records a revision in the registry."""
    subject = f"{hub_id}@{revision}"
    return Step(clock.new_id(), StepKind.SYNC, subject, "io", clock.now())


def judge_step(clock: Clock, run: Run) -> Step:
    """The step that judges a run."""
    return Step(clock.new_id(), StepKind.JUDGE, run.id, "io", clock.now())


def ready_checks(
    tx: Transaction, clock: Clock, run: Run, checks: Sequence[RunCheck], queue_of: QueueOf
) -> Sequence[Step]:
    """Let checks begin. Their locks keep the same check of the same revision from running twice at
    once, whatever run asks for it."""
    ready = [replace(check, status=CheckStatus.READY) for check in checks]
    tx.save_all(ready)
    return tx.add_steps(
        [
            Step(
                id=clock.new_id(),
                kind=StepKind.CHECK,
                subject=check.id,
                queue=queue_of(check),
                due_at=clock.now(),
                lock=f"check:{run.hub_id}@{run.revision}:{check.name}",
            )
            for check in ready
        ]
    )


def start_promotion(tx: Transaction, clock: Clock, promotion: Promotion) -> Step:
    """Add a promotion; returns the step that moves the tags. One mover per repo."""
    tx.add(promotion)
    return tx.add_step(promote_step(clock, promotion))


def promote_step(clock: Clock, promotion: Promotion, *, after: float = 0.0) -> Step:
    """The step that moves the tags of a promotion, `after` seconds from now."""
    return Step(
        id=clock.new_id(),
        kind=StepKind.PROMOTE,
        subject=promotion.id,
        queue="io",
        due_at=clock.now() + after,
        lock=f"promote:{promotion.hub_id}",
    )


def new_promotion(
    tx: Transaction, clock: Clock, rules: Rules, run: Run, stage: str, *, cause: str, by: str
) -> Promotion:
    """The promotion of a run's revision to a stage, from where the stage is now. The stage that
    releases gets the next immutable tag."""
    head = tx.stage_head(run.hub_id, stage)
    number = tx.next_release(run.hub_id, stage) if rules.releases(stage) else 0
    return Promotion(
        id=clock.new_id(),
        hub_id=run.hub_id,
        run_id=run.id,
        stage=stage,
        revision=run.revision,
        expected=head.revision if head else None,
        release=f"{stage}-{number}" if number else "",
        cause=cause,
        by=by,
        created_at=clock.now(),
    )


def fail_run(
    tx: Transaction, clock: Clock, rules: Rules, run: Run, reason: str, link: Link
) -> Sequence[Step]:
    """End an open run as failed and tell people; an ended run stays as it is."""
    if run.status.ended:
        return ()
    failed = replace(run, status=RunStatus.FAILED, reason=reason, updated_at=clock.now())
    tx.save(failed)
    pipeline = rules.pipeline(run.pipeline)
    notice = compose.run_failed(failed, link(run.repo_type, run.repo_name, run.revision))
    return tell(tx, clock, notice, pipeline.notify if pipeline else ())


def supersede(tx: Transaction, clock: Clock, run: Run, head: Revision) -> Sequence[Promotion]:
    """End an open run because `head` took its place. A tag move under way still converges; the
    promotions that had not begun, and do not now, are returned."""
    now, reason = clock.now(), f"superseded by {short(head)}"
    tx.save(replace(run, status=RunStatus.SUPERSEDED, reason=reason, updated_at=now))
    unmeasured = (CheckStatus.WAITING, CheckStatus.READY)
    checks = [check for check in tx.checks(run.id) if check.status in unmeasured]
    tx.save_all([replace(check, status=CheckStatus.CANCELLED) for check in checks])
    for check in checks:
        if check.status is CheckStatus.READY:  # only then there is a step
            tx.cancel_steps(StepKind.CHECK, check.id, reason)
    tx.cancel_steps(StepKind.JUDGE, run.id, reason)
    overtaken = []
    for promotion in tx.promotions(run_id=run.id, open_only=True):
        # One that puts something back for a person only goes by this run's channels.
        if promotion.status is not PromotionStatus.PLANNED or promotion.cause not in PROVING:
            continue
        tx.cancel_steps(StepKind.PROMOTE, promotion.id, reason)
        # The step is ours now, and the promotion what it is: it may have begun since it was read.
        current = tx.promotion(promotion.id)
        if current is None or current.status is not PromotionStatus.PLANNED:
            if current is not None and not current.status.ended:
                tx.add_step(promote_step(clock, current))
            continue
        status = PromotionStatus.CANCELLED
        tx.save(replace(current, status=status, reason=reason, ended_at=now))
        overtaken.append(current)
    return overtaken
