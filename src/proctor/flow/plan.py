"""Plan: look at a repo's refs as they are now, and start the runs that are missing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from proctor.core import compose
from proctor.core.errors import RepoGone, RepoReplaced
from proctor.core.event import Disposition, Event
from proctor.core.names import Repo, RepoType, Revision, short, tag_ref
from proctor.core.planning import fates, look
from proctor.core.record import Hold, KnownRepo, RefChange, StageHead
from proctor.core.rule import Pipeline, Rules, match
from proctor.core.run import Run, Step
from proctor.flow.outbox import tell
from proctor.flow.runs import Link, start_run, supersede, sync_step
from proctor.ports.clock import Clock
from proctor.ports.hub import Hub
from proctor.ports.ledger import Claim, Ledger, Transaction, View


@dataclass(frozen=True, slots=True)
class Plan:
    """The step. Its subject is a repo's hub_id."""

    ledger: Ledger
    hub: Hub
    clock: Clock
    rules: Rules
    link: Link

    def do(self, claim: Claim, lost: Callable[[], bool]) -> Sequence[Step]:
        """Read the refs, then commit in one transaction: ref history, runs and their checks,
        overtaken runs, holds, and a disposition for each event that was pending before."""
        hub_id = claim.step.subject
        with self.ledger.view() as view:
            events = view.pending_events(hub_id)
            asked = _asked_for(view, hub_id, events)
        if asked is None:
            with self.ledger.transaction() as tx:
                return _again(tx.finish(claim))
        try:
            repo = self.hub.find(asked.type, asked.name)
            if repo.hub_id != hub_id:
                raise RepoReplaced(
                    f"{asked.name} is now another repo ({repo.hub_id}); it is left alone"
                )
            refs = self.hub.refs(repo)
        except (RepoGone, RepoReplaced) as error:
            return self._gone(claim, asked, events, str(error))
        with self.ledger.transaction() as tx:
            tx.fence(claim)
            wake = self._record(tx, repo, refs, events)
            return (*wake, *_again(tx.finish(claim)))

    def give_up(self, claim: Claim, reason: str) -> Sequence[Step]:
        """The events end as rejected, with the reason."""
        with self.ledger.transaction() as tx:
            tx.fail(claim, reason)
            for event in tx.pending_events(claim.step.subject):
                tx.save(replace(event, disposition=Disposition.REJECTED, reason=reason))
        return ()

    def _gone(
        self, claim: Claim, asked: Repo, events: Sequence[Event], reason: str
    ) -> Sequence[Step]:
        now = self.clock.now()
        with self.ledger.transaction() as tx:
            tx.fence(claim)
            known = tx.known_repo(asked.hub_id)
            if known is not None:
                tx.put_repo(replace(known, seen_at=now, gone_because=reason))
            for event in events:
                tx.save(replace(event, disposition=Disposition.REJECTED, reason=reason))
            return _again(tx.finish(claim))

    def _record(
        self,
        tx: Transaction,
        repo: Repo,
        refs: Mapping[str, Revision],
        events: Sequence[Event],
    ) -> Sequence[Step]:
        now = self.clock.now()
        known = tx.known_repo(repo.hub_id)
        tx.put_repo(KnownRepo(repo, known.first_seen if known else now, now))
        self._record_refs(tx, repo, refs, now)
        pipelines = match(self.rules.pipelines, repo.type, repo.name)
        wake: list[Step] = []
        if pipelines:
            wake += self._watch_stages(tx, repo, refs, pipelines, now)
        seen = look(pipelines, refs, tx.runs(hub_id=repo.hub_id))
        for run, head in seen.overtaken:
            supersede(tx, run, head, now)
        started: dict[str, Run] = {}
        for start in seen.starts:
            cause = next((e for e in reversed(events) if _tells(e, start.revision)), None)
            run = Run(
                id=self.clock.new_id(),
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
                event_id=cause.id if cause else None,
            )
            wake.append(start_run(tx, self.clock, run, start.pipeline))
            started[start.pipeline.name] = run
        main = refs.get("refs/heads/main")
        if main and not started and tx.entry(repo.hub_id, main) is None:
            wake.append(tx.add_step(sync_step(self.clock, repo.hub_id, main)))
        operations = tx.unmatched_operations(repo.hub_id)
        for fate in fates(events, pipelines, refs, started, seen.standing, operations):
            tx.save(
                replace(
                    fate.event,
                    disposition=fate.disposition,
                    reason=fate.reason,
                    run_id=fate.run_id,
                )
            )
            if fate.operation is not None:
                tx.save(replace(fate.operation, event_id=fate.event.id))
        return wake

    def _record_refs(
        self, tx: Transaction, repo: Repo, refs: Mapping[str, Revision], now: float
    ) -> None:
        before = tx.refs_seen(repo.hub_id)
        for ref in sorted(before.keys() | refs.keys()):
            old, new = before.get(ref), refs.get(ref)
            if old != new:
                tx.put_ref(RefChange(self.clock.new_id(), repo.hub_id, ref, old, new, now))

    def _watch_stages(
        self,
        tx: Transaction,
        repo: Repo,
        refs: Mapping[str, Revision],
        pipelines: Sequence[Pipeline],
        now: float,
    ) -> Sequence[Step]:
        """Adopt stage tags at first sight; a tag that a person moved becomes a hold."""
        wake: list[Step] = []
        for stage in {name: None for p in pipelines for name in p.promote}:
            found, head = refs.get(tag_ref(stage)), tx.stage_head(repo.hub_id, stage)
            if tx.promotions(hub_id=repo.hub_id, stage=stage, open_only=True):
                continue  # ours may be half-way: the promote step watches the tag itself
            if head is None:
                if found and not tx.promotions(hub_id=repo.hub_id, stage=stage, limit=1):
                    tx.put_stage_head(StageHead(repo.hub_id, stage, found, now, None))
                continue
            if found == head.revision or _held(tx, repo.hub_id, stage):
                continue
            what = f"points at {short(found)}" if found else "is gone"
            hold = Hold(
                id=self.clock.new_id(),
                hub_id=repo.hub_id,
                stage=stage,
                reason=f"tag {stage} {what}; Proctor left it at {short(head.revision)}",
                found=found,
                expected=head.revision,
                since=now,
            )
            tx.add(hold)
            notice = compose.stage_held(repo.name, hold, self.link(repo.hub_id))
            channels = {name: None for p in pipelines for name in p.notify}
            wake += tell(tx, self.clock, notice, tuple(channels))
        return wake


def _asked_for(view: View, hub_id: str, events: Sequence[Event]) -> Repo | None:
    known = view.known_repo(hub_id)
    if known is not None and not known.gone_because:
        return known.repo
    if events:
        return Repo(hub_id, RepoType(events[-1].repo_type), events[-1].repo_name)
    return known.repo if known else None


def _tells(event: Event, revision: Revision) -> bool:
    return event.head == revision or any(u.new == revision for u in event.updates)


def _held(view: View, hub_id: str, stage: str) -> bool:
    return any(h.stage == stage for h in view.holds(hub_id=hub_id))


def _again(step: Step | None) -> Sequence[Step]:
    return (step,) if step else ()
