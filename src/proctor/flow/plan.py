"""Plan: look at a repo's refs as they are now, and start the runs that are missing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from proctor.core import compose
from proctor.core.errors import RepoGone, RepoReplaced
from proctor.core.event import Event
from proctor.core.names import Repo, RepoType, Revision, tag_ref
from proctor.core.planning import SETTLE, Fate, begins, fates, look, putting_off, unlooked
from proctor.core.record import Hold, KnownRepo, RefChange, StageHead
from proctor.core.rule import Pipeline, Rules, match
from proctor.core.run import Run, Step
from proctor.flow.outbox import tell
from proctor.flow.restore import instead
from proctor.flow.rollback import was_in
from proctor.flow.runs import Link, new_run, plan_step, start_run, supersede, sync_step
from proctor.flow.trouble import Trouble
from proctor.ports.clock import Clock
from proctor.ports.hub import Hub
from proctor.ports.ledger import Claim, Ledger, Transaction, View

NAMES_TRIED = 3
"""How many of the names that a repo was told under are tried in one look."""


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
            names = _names(view, hub_id, events)
            before = _stages(view, hub_id)
        if not names:
            with self.ledger.transaction() as tx:
                return _again(tx.finish(claim))
        try:
            repo = self._find(hub_id, names)
            refs = self.hub.refs(repo)
        except (RepoGone, RepoReplaced) as error:
            return self._gone(claim, events, str(error))
        with self.ledger.transaction() as tx:
            # The repo first, then the step, as people's requests do: those ask for looks too.
            known = tx.known_repo(hub_id)
            tx.fence(claim)
            now = self.clock.now()
            tx.put_repo(KnownRepo(repo, known.first_seen if known else now, now))
            wake = self._record(tx, repo, refs, events, before)
            return (*wake, *_again(tx.finish(claim)))

    def give_up(self, claim: Claim, reason: str) -> Sequence[Step]:
        """The events end as rejected, with the reason, and people are told. Not those that tell of
        our own writes: no look is needed to know them."""
        hub_id = claim.step.subject
        with self.ledger.transaction() as tx:
            tx.known_repo(hub_id)  # first, as a look does, which matches echoes
            tx.fail(claim, reason)
            _unlooked(tx, hub_id, tx.pending_events(hub_id), reason)
            trouble = Trouble(self.clock, self.rules, self.link)
            return trouble.gave_up(tx, claim.step, reason)

    def _find(self, hub_id: str, names: Sequence[tuple[RepoType, str]]) -> Repo:
        """The repo of that id under the first of the names that leads to it. Raises RepoGone and
        RepoReplaced."""
        last: RepoGone | RepoReplaced = RepoGone(f"no name of {hub_id} is known")
        for kind, name in names:
            try:
                repo = self.hub.find(kind, name)
            except (RepoGone, RepoReplaced) as error:
                last = error
                continue
            if repo.hub_id == hub_id:
                return repo
            last = RepoReplaced(f"{name} is now another repo ({repo.hub_id}); it is left alone")
        raise last

    def _gone(self, claim: Claim, events: Sequence[Event], reason: str) -> Sequence[Step]:
        now = self.clock.now()
        with self.ledger.transaction() as tx:
            known = tx.known_repo(claim.step.subject)
            tx.fence(claim)
            if known is not None:
                tx.put_repo(replace(known, seen_at=now, gone_because=reason))
            _unlooked(tx, claim.step.subject, events, reason)
            return _again(tx.finish(claim))

    def _record(
        self,
        tx: Transaction,
        repo: Repo,
        refs: Mapping[str, Revision],
        events: Sequence[Event],
        before: _Stages,
    ) -> Sequence[Step]:
        now = self.clock.now()
        self._record_refs(tx, repo, refs, now)
        pipelines = match(self.rules.pipelines, repo.type, repo.name)
        wake: list[Step] = []
        if pipelines:
            wake += self._watch_stages(tx, repo, refs, pipelines, before)
        heads = {refs[p.match.ref] for p in pipelines if p.match.ref in refs}
        # A tag may have been put at an older push, which is no head any more.
        told = [u for e in events for u in e.updates if u.ref.startswith(tag_ref(""))]
        tagged = {update.new for update in told if update.new is not None}
        runs = tx.runs_at(repo.hub_id, heads | tagged, now - SETTLE)
        seen = look(pipelines, refs, runs)
        for run, head in seen.overtaken:
            for promotion in supersede(tx, self.clock, run, head):
                wake += instead(tx, self.clock, self.rules, repo, promotion)
        started: dict[str, Run] = {}
        for start in seen.starts:
            cause = next(
                (
                    e
                    for e in reversed(events)
                    if _tells(e, start.revision, start.pipeline.match.ref)
                ),
                None,
            )
            begin = begins(_put_off_by(tx, runs, start.pipeline, now), now)
            run = new_run(self.clock, repo, start, cause.id if cause else None, begin)
            wake.append(start_run(tx, self.clock, run, start.pipeline))
            started[start.pipeline.name] = run
        main = refs.get("refs/heads/main")
        if main and not started and not tx.described(repo.hub_id, main):
            wake.append(tx.add_step(sync_step(self.clock, repo.hub_id, main)))
        operations = tx.unmatched_operations(repo.hub_id)
        commits = {run.revision for run in runs}
        _seal(tx, fates(events, pipelines, refs, started, seen.standing, operations, commits))
        return wake

    def _record_refs(
        self, tx: Transaction, repo: Repo, refs: Mapping[str, Revision], now: float
    ) -> None:
        before = tx.refs_seen(repo.hub_id)
        moved = [r for r in sorted(before.keys() | refs.keys()) if before.get(r) != refs.get(r)]
        tx.add_all(
            [
                RefChange(self.clock.new_id(), repo.hub_id, r, before.get(r), refs.get(r), now)
                for r in moved
            ]
        )

    def _watch_stages(
        self,
        tx: Transaction,
        repo: Repo,
        refs: Mapping[str, Revision],
        pipelines: Sequence[Pipeline],
        before: _Stages,
    ) -> Sequence[Step]:
        """Adopt stage tags at first sight; a tag that a person moved becomes a hold.

        A hold in force follows the tag, without another notice: on the Hub a tag is moved by
        removing it first, and what was seen in between must not be what a person settles.

        `before` is what we knew of the stages before the refs were read: where a promotion was
        under way or has ended since, the refs may be older than what we know now, so the repo is
        looked at again.
        """
        now, wake = self.clock.now(), list[Step]()
        staged = (h.stage for h in tx.stage_heads(repo.hub_id))  # by hand, beside the pipelines
        stages = dict.fromkeys([*(name for p in pipelines for name in p.promote), *staged])
        # Each is locked before we read what else is known of it, in the order of promotions.
        heads = {stage: tx.stage_head(repo.hub_id, stage) for stage in stages}
        moving = {p.stage for p in tx.promotions(hub_id=repo.hub_id, open_only=True)}
        holds = {h.stage: h for h in tx.holds(hub_id=repo.hub_id)}
        for stage, head in heads.items():
            found, hold = refs.get(tag_ref(stage)), holds.get(stage)
            if stage in moving:
                continue  # ours may be half-way: the promote step watches the tag itself
            known = (before.heads.get(stage), before.holds.get(stage))
            if stage in before.moving or (head, hold) != known:
                tx.add_step(plan_step(self.clock, repo.hub_id))
                continue
            expected = head.revision if head else None
            if hold is not None:
                if found != hold.found:
                    reason = compose.tag_moved(stage, found, hold.expected)
                    tx.save(replace(hold, found=found, reason=reason))
                continue
            if found == expected:
                continue
            if found and not head and not tx.promotions(hub_id=repo.hub_id, stage=stage, limit=1):
                tx.put_stage_head(StageHead(repo.hub_id, stage, found, now, None))
                continue
            hold = Hold(
                id=self.clock.new_id(),
                hub_id=repo.hub_id,
                stage=stage,
                reason=compose.tag_moved(stage, found, expected),
                found=found,
                expected=expected,
                since=now,
            )
            tx.add(hold)
            link = self.link(repo.type, repo.name, None)
            proven = expected is not None and was_in(tx, repo.hub_id, stage, expected)
            notice = compose.stage_held(repo.name, hold, link, proven=proven)
            wake += tell(tx, self.clock, notice, _channels(pipelines))
        return wake


@dataclass(frozen=True, slots=True)
class _Stages:
    """Where the stages of a repo are, what holds them, and which a promotion is moving."""

    heads: Mapping[str, StageHead]
    holds: Mapping[str, Hold]
    moving: frozenset[str]


def _stages(view: View, hub_id: str) -> _Stages:
    return _Stages(
        {h.stage: h for h in view.stage_heads(hub_id)},
        {h.stage: h for h in view.holds(hub_id=hub_id)},
        frozenset(p.stage for p in view.promotions(hub_id=hub_id, open_only=True)),
    )


def _names(view: View, hub_id: str, events: Sequence[Event]) -> Sequence[tuple[RepoType, str]]:
    """The names under which the repo may be found: ours first, then what was told since."""
    known = view.known_repo(hub_id)
    names = [(known.repo.type, known.repo.name)] if known else []
    told = list(reversed(events)) or view.events(hub_id=hub_id, limit=1)
    names += [(e.repo_type, e.repo_name) for e in told]
    return tuple(dict.fromkeys(names))[:NAMES_TRIED]


def _unlooked(tx: Transaction, hub_id: str, events: Sequence[Event], reason: str) -> None:
    _seal(tx, unlooked(events, tx.unmatched_operations(hub_id), reason))


def _seal(tx: Transaction, decided: Sequence[Fate]) -> None:
    """Write what became of each event, and of which of our own writes it told."""
    tx.save_all([fate.told() for fate in decided])
    tx.save_all([replace(o, event_id=f.event.id) for f in decided for o in f.operations])


def _channels(pipelines: Sequence[Pipeline]) -> tuple[str, ...]:
    return tuple({name: None for p in pipelines for name in p.notify})


def _tells(event: Event, revision: Revision, ref: str) -> bool:
    if not event.updates:
        return event.head == revision
    return any(u.new == revision and u.ref == ref for u in event.updates)


def _put_off_by(view: View, runs: Sequence[Run], pipeline: Pipeline, now: float) -> Run | None:
    """The run of the pipeline that puts the next off the longest. That of the commit which made
    the repo does not: it holds nothing, and the first push follows at once."""
    for run in putting_off([r for r in runs if r.pipeline == pipeline.name], now):
        cause = view.event(run.event_id) if run.event_id else None
        if cause is None or (cause.scope, cause.action) != ("repo", "create"):
            return run
    return None


def _again(step: Step | None) -> Sequence[Step]:
    return (step,) if step else ()
