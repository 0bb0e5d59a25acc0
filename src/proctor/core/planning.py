"""Planning: from the refs as they are now to the runs that are missing. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from proctor.core.event import Disposition, Event
from proctor.core.names import Revision, short, tag_ref
from proctor.core.promotion import Operation, OperationKind
from proctor.core.rule import Pipeline
from proctor.core.run import Run, RunStatus

SETTLE = 60.0
"""Seconds from the beginning of a run that a push overtook to the next one's: however many pushes
come in that time, only the last of them is examined."""


@dataclass(frozen=True, slots=True)
class Start:
    """A run to start. `number` and `again_of` as in Run."""

    pipeline: Pipeline
    revision: Revision
    number: int
    again_of: str | None


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at a repo decides: what to start, which open runs are overtaken and by which
    revision, and for each pipeline (by name) the revision and run that already stand."""

    starts: tuple[Start, ...]
    overtaken: tuple[tuple[Run, Revision], ...]
    standing: Mapping[str, Run]


def look(pipelines: Sequence[Pipeline], refs: Mapping[str, Revision], runs: Sequence[Run]) -> Look:
    """Compare the heads with the runs on record (of this repo, newest first).

    A head is covered by any run of it in the pipeline, unless the newest was superseded before
    it was judged: then it starts again. An open run of another revision on the same ref is
    overtaken.
    """
    starts: list[Start] = []
    overtaken: list[tuple[Run, Revision]] = []
    standing: dict[str, Run] = {}
    for pipeline in pipelines:
        head = refs.get(pipeline.match.ref)
        if head is None:
            continue
        of_pipeline = [r for r in runs if r.pipeline == pipeline.name]
        overtaken += [
            (r, head)
            for r in of_pipeline
            if not r.status.ended and r.ref == pipeline.match.ref and r.revision != head
        ]
        newest = max(
            (r for r in of_pipeline if r.revision == head), key=lambda r: r.number, default=None
        )
        if newest is None or newest.status is RunStatus.SUPERSEDED:
            starts.append(
                Start(
                    pipeline,
                    head,
                    number=newest.number + 1 if newest else 1,
                    again_of=newest.id if newest else None,
                )
            )
        else:
            standing[pipeline.name] = newest
    return Look(tuple(starts), tuple(overtaken), standing)


def begins(runs: Sequence[Run], now: float) -> float:
    """When a new run may begin, from the runs of its repo and pipeline on record.

    The first push begins at once. Those that overtake it within SETTLE share one later run. A run
    that came to its end puts nothing off; one that was overtaken before it could begin neither.
    """
    begun = [
        r.begins_at
        for r in runs
        if r.begins_at <= now and (not r.status.ended or r.status is RunStatus.SUPERSEDED)
    ]
    return max(now, max(begun, default=now - SETTLE) + SETTLE)


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of an event: its disposition, why, and the run and operation concerned."""

    event: Event
    disposition: Disposition
    reason: str
    run_id: str | None = None
    operation: Operation | None = None


def fates(
    events: Sequence[Event],
    pipelines: Sequence[Pipeline],
    refs: Mapping[str, Revision],
    started: Mapping[str, Run],
    standing: Mapping[str, Run],
    operations: Sequence[Operation],
) -> tuple[Fate, ...]:
    """Give each pending event (oldest first) its one disposition after a look.

    `started` and `standing` are runs by pipeline name; `operations` are our own writes whose
    webhook has not come back yet.
    """
    open_operations = list(operations)
    told: dict[str, Event] = {}
    out: list[Fate] = []
    for event in reversed(events):
        echo = _echo(event, open_operations)
        if echo is not None:
            open_operations.remove(echo)
            reason = f"our own {echo.kind.value} of tag {echo.tag} came back"
            out.append(Fate(event, Disposition.ECHO, reason, operation=echo))
        else:
            out.append(_fate(event, pipelines, refs, started, standing, told))
    return tuple(reversed(out))


def _echo(event: Event, operations: Sequence[Operation]) -> Operation | None:
    if len(event.updates) != 1:
        return None
    (update,) = event.updates
    for operation in operations:
        if update.ref != tag_ref(operation.tag):
            continue
        if operation.kind is OperationKind.CREATE and update.new == operation.revision:
            return operation
        if (
            operation.kind is OperationKind.DELETE
            and update.new is None
            and update.old in (None, operation.revision)
        ):
            return operation
    return None


def _fate(
    event: Event,
    pipelines: Sequence[Pipeline],
    refs: Mapping[str, Revision],
    started: Mapping[str, Run],
    standing: Mapping[str, Run],
    told: dict[str, Event],
) -> Fate:
    if not pipelines:
        reason = f"no pipeline matches {event.repo_type.value} {event.repo_name}"
        return Fate(event, Disposition.FILTERED, reason)
    if event.scope.startswith("discussion"):
        return Fate(event, Disposition.FILTERED, "discussions and comments start no run")
    watched = {p.match.ref for p in pipelines}
    if event.updates and not watched & {u.ref for u in event.updates}:
        seen = ", ".join(u.ref for u in event.updates)
        return Fate(event, Disposition.FILTERED, f"no pipeline looks at {seen}")
    pushed = {u.new for u in event.updates if u.ref in watched}
    heads = {refs.get(ref) for ref in watched}
    if pushed and not pushed & heads:
        now = ", ".join(sorted(short(h) for h in heads if h)) or "gone"
        reason = f"the head was {now} by the time we looked"
        return Fate(event, Disposition.SUPERSEDED, reason)
    if started:
        run = next(iter(started.values()))
        first = told.setdefault(run.id, event)
        if first is not event:
            reason = f"event {first.id} stands for it"
            return Fate(event, Disposition.COALESCED, reason, run.id)
        reason = "started " + ", ".join(f"run {r.id} ({r.pipeline})" for r in started.values())
        return Fate(event, Disposition.RAN, reason, run.id)
    if standing:
        run = next(iter(standing.values()))
        reason = f"{short(run.revision)} is already covered by run {run.id} ({run.status.value})"
        return Fate(event, Disposition.UNCHANGED, reason, run.id)
    return Fate(event, Disposition.FILTERED, "the ref that the pipelines look at does not exist")
