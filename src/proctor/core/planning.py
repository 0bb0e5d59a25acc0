"""Planning: from the refs as they are now to the runs that are missing. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from proctor.core.event import Disposition, Event, RefUpdate
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


def putting_off(runs: Sequence[Run], now: float) -> Sequence[Run]:
    """The runs of a repo and pipeline that put off the next, the one that does so longest first.

    The first push begins at once. Those that overtake it within SETTLE share one later run. A run
    that came to its end puts nothing off; one that was overtaken before it could begin neither.
    """
    begun = [
        r
        for r in runs
        if now - SETTLE < r.begins_at <= now
        and (not r.status.ended or r.status is RunStatus.SUPERSEDED)
    ]
    return sorted(begun, key=lambda r: r.begins_at, reverse=True)


def begins(put_off_by: Run | None, now: float) -> float:
    """When a new run may begin."""
    return put_off_by.begins_at + SETTLE if put_off_by else now


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of an event: its disposition, why, and the run and operation concerned."""

    event: Event
    disposition: Disposition
    reason: str
    run_id: str | None = None
    operations: tuple[Operation, ...] = ()

    def told(self) -> Event:
        """The event with what became of it."""
        return replace(
            self.event, disposition=self.disposition, reason=self.reason, run_id=self.run_id
        )


def fates(
    events: Sequence[Event],
    pipelines: Sequence[Pipeline],
    refs: Mapping[str, Revision],
    started: Mapping[str, Run],
    standing: Mapping[str, Run],
    operations: Sequence[Operation],
    commits: Collection[Revision] = (),
) -> tuple[Fate, ...]:
    """Give each pending event (oldest first) its one disposition after a look.

    `started` and `standing` are runs by pipeline name; `operations` are our own writes whose
    webhook has not come back yet; `commits` are revisions on record, beside those of `refs`.
    """
    commits = {*refs.values(), *commits}
    open_operations = list(operations)
    told: dict[str, Event] = {}
    out: list[Fate] = []
    for event in reversed(events):
        ours, rest = _ours(event, refs, commits, open_operations)
        open_operations = [o for o in open_operations if o not in ours]
        if ours and not rest:
            out.append(_echo(event, ours))
        else:
            fate = _fate(event, pipelines, refs, started, standing, told)
            out.append(replace(fate, operations=ours))
    return tuple(reversed(out))


def unlooked(
    events: Sequence[Event], operations: Sequence[Operation], why: str
) -> tuple[Fate, ...]:
    """Give each pending event (oldest first) its one disposition where no look could be had, and
    why not: our own writes that come back are known without one, all else is rejected."""
    refs = {
        tag_ref(o.tag): o.revision
        for o in operations
        if o.kind is OperationKind.CREATE and o.observed_at is not None
    }
    open_operations = list(operations)
    out: list[Fate] = []
    for event in reversed(events):
        ours, rest = _ours(event, refs, refs.values(), open_operations)
        open_operations = [o for o in open_operations if o not in ours]
        rejected = Fate(event, Disposition.REJECTED, why, operations=ours)
        out.append(_echo(event, ours) if ours and not rest else rejected)
    return tuple(reversed(out))


def _echo(event: Event, ours: tuple[Operation, ...]) -> Fate:
    reason = "; ".join(f"our own {o.kind.value} of tag {o.tag} came back" for o in ours)
    return Fate(event, Disposition.ECHO, reason, operations=ours)


def _ours(
    event: Event,
    refs: Mapping[str, Revision],
    commits: Collection[Revision],
    operations: Sequence[Operation],
) -> tuple[tuple[Operation, ...], bool]:
    """The operations of which the event tells, and whether it tells of more than those: one event
    may hold many refs."""
    found: list[Operation] = []
    rest = not event.updates
    for update in event.updates:
        theirs = [o for o in operations if o not in found and tag_ref(o.tag) == update.ref]
        gone = next((o for o in theirs if _removed(o, update)), None)
        made = next((o for o in theirs if _created(o, update, refs, commits)), None)
        whole = (gone or update.old is None) and (made or update.new is None)
        if whole:  # one move is one doing: of a person's, no half was ours
            found += [o for o in (gone, made) if o is not None]
        rest = rest or not (whole and (gone or made))
    return tuple(found), rest


def _removed(operation: Operation, update: RefUpdate) -> bool:
    if operation.kind is not OperationKind.DELETE:
        return False
    if update.old is None:  # the Hub did not say from where
        return update.new is None
    return update.old == operation.revision


def _created(
    operation: Operation,
    update: RefUpdate,
    refs: Mapping[str, Revision],
    commits: Collection[Revision],
) -> bool:
    """A tag with a message is an object of its own, and the Hub may tell that object's name: it is
    no commit that we know, and the tag stands where we put it."""
    if operation.kind is not OperationKind.CREATE or update.new is None:
        return False
    if update.new == operation.revision:
        return True
    return refs.get(update.ref) == operation.revision and update.new not in commits


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
