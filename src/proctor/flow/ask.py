"""What a person may ask for: run again, promote, roll back, settle a hold. Rules bind them too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from proctor.core.errors import Refused
from proctor.core.event import Disposition, Event
from proctor.core.names import Repo, short, tag_ref
from proctor.core.promotion import Promotion, PromotionStatus
from proctor.core.record import Hold, KnownRepo, StageHead
from proctor.core.rule import Rules
from proctor.core.run import Run, RunStatus, Step
from proctor.flow.permission import proof
from proctor.flow.planned import end, go_on, planned
from proctor.flow.repos import locked_repo
from proctor.flow.rerun import wanted
from proctor.flow.restore import restoration
from proctor.flow.rollback import still_to_come, target
from proctor.flow.runs import new_promotion, new_run, plan_step, start_promotion, start_run
from proctor.ports.clock import Clock
from proctor.ports.ledger import Ledger, Transaction, View


@dataclass(frozen=True, slots=True)
class Asked:
    """What was started: the id of the run, promotion or hold, and the steps to wake. `said` tells
    in words what was settled ("" where that is plain)."""

    id: str
    wake: tuple[Step, ...]
    said: str = ""


@dataclass(frozen=True, slots=True)
class Ask:
    """A person's requests. Each raises Refused with the reason and what to do instead."""

    ledger: Ledger
    clock: Clock
    rules: Rules

    def rerun(self, repo: str, revision: str | None, pipeline: str | None, by: str) -> Asked:
        """Run a pipeline over a head: again, or for the first time where none ran (`rerun`)."""
        with self.ledger.transaction() as tx:
            locked_repo(tx, repo)
            known, start = wanted(tx, self.rules, repo, revision, pipeline)
            now = self.clock.now()
            event_id = self.clock.new_id()
            run = replace(
                new_run(self.clock, known, start, event_id, now), reason=f"asked for by {by}"
            )
            # The run's own reason changes as it goes on; who asked for it must stay on record.
            tx.add_event(
                Event(
                    id=event_id,
                    identity=f"person:{run.id}",
                    source="person",
                    received_at=now,
                    action="rerun",
                    scope="repo.content",
                    repo_type=known.type,
                    hub_id=known.hub_id,
                    repo_name=known.name,
                    head=start.revision,
                    disposition=Disposition.RAN,
                    reason=f"asked for by {by}; started run {run.id} ({run.pipeline})",
                    run_id=run.id,
                )
            )
            return Asked(run.id, (start_run(tx, self.clock, run, start.pipeline),))

    def promote(self, repo: str, revision: str, stage: str, by: str) -> Asked:
        """Point a stage at a revision that passed under the gate as it stands."""
        self._stage(stage)
        with self.ledger.transaction() as tx:
            known = locked_repo(tx, repo)
            run = self._proven(tx, known.repo, revision, stage)
            self._free(tx, repo, run.hub_id, stage)
            head = tx.stage_head(run.hub_id, stage)
            if head is not None and head.revision == run.revision:
                raise Refused(f"{stage} of {repo} is already at {short(run.revision)}")
            after = next(s.after for s in self.rules.stages if s.name == stage)
            if after and not _been_in(tx, run, after):
                raise Refused(
                    f"{short(run.revision)} has not been in {after}, which comes before {stage}; "
                    f"first: proctor promote {repo}@{short(run.revision)} {after}"
                )
            promotion = new_promotion(
                tx, self.clock, self.rules, run, stage, cause="promote", by=by
            )
            return Asked(promotion.id, (start_promotion(tx, self.clock, promotion),))

    def rollback(self, repo: str, stage: str, to: str | None, by: str) -> Asked:
        """Point a stage back at a revision that a verdict put there before (by default the last
        before the present one). `said` warns of runs that will move it on."""
        self._stage(stage)
        with self.ledger.transaction() as tx:
            known = locked_repo(tx, repo)
            hub_id = known.repo.hub_id
            self._free(tx, repo, hub_id, stage)
            back_to = target(tx, known.repo, stage, to)
            run = tx.run(back_to.run_id)
            if run is None:
                raise Refused(f"the run of {short(back_to.revision)} is no longer on record")
            promotion = new_promotion(
                tx, self.clock, self.rules, run, stage, cause="rollback", by=by
            )
            wake = start_promotion(tx, self.clock, promotion)
            return Asked(promotion.id, (wake,), still_to_come(tx, self.rules, hub_id, stage))

    def release(self, repo: str, stage: str, accept: bool, by: str) -> Asked:
        """Settle a hold: accept the tag where it was last seen, or restore ours."""
        self._stage(stage)
        with self.ledger.transaction() as tx:
            known = locked_repo(tx, repo)  # no look, no promotion makes or meets a hold meanwhile
            hub_id, now = known.repo.hub_id, self.clock.now()
            holds = [h for h in tx.holds(hub_id=hub_id) if h.stage == stage]
            if not holds:
                raise Refused(f"nothing holds {stage} of {repo}")
            hold = _as_last_seen(tx, known, holds[-1])
            for each in holds:
                tx.save(replace(each, found=hold.found, released_at=now))
            waiting = _waiting_for(tx, hub_id, stage)
            to_come = planned(tx, hub_id, stage)
            if accept:
                return self._accept(tx, hold, waiting, to_come, by)
            decided = [p for p in to_come if p.cause == "verdict"]
            wake = tuple(go_on(tx, self.clock, hold, decided))
            if waiting:
                resumed = self._resume(tx, hold, waiting)
                return replace(resumed, wake=(*wake, *resumed.wake))
            if decided:
                return Asked(decided[0].id, wake, f"what is on its way to {stage} goes on")
            return self._restore(tx, known.repo, hold, by)

    def _accept(
        self,
        tx: Transaction,
        hold: Hold,
        waiting: Sequence[Run],
        to_come: Sequence[Promotion],
        by: str,
    ) -> Asked:
        """The tag is the person's choice: it stays, and the runs that waited for it end."""
        now = self.clock.now()
        if hold.found is None:
            tx.drop_stage_head(hold.hub_id, hold.stage)
        else:
            tx.put_stage_head(StageHead(hold.hub_id, hold.stage, hold.found, now, None))
        reason = f"{by} kept {hold.stage} where it was put by hand"
        end(tx, self.clock, to_come, reason)
        for run in waiting:
            # Not superseded: a look would start it again, over the person's choice.
            tx.save(replace(run, status=RunStatus.HELD, reason=reason, updated_at=now))
        # Should the tag have moved since it was seen, the look makes a hold of that.
        look = tx.add_step(plan_step(self.clock, hold.hub_id))
        where = f"at {short(hold.found)}" if hold.found else "as gone: it points nowhere"
        return Asked(hold.id, (look,), f"{hold.stage} is accepted {where}")

    def _resume(self, tx: Transaction, hold: Hold, waiting: Sequence[Run]) -> Asked:
        """The runs that waited go on, from where the person left the tag."""
        now, ids, wake = self.clock.now(), [], []
        for run in waiting:
            promotion = replace(
                new_promotion(
                    tx, self.clock, self.rules, run, hold.stage, cause="verdict", by="gate"
                ),
                expected=hold.found,
            )
            reason = f"passed; on its way to {hold.stage}"
            tx.save(replace(run, status=RunStatus.PROMOTING, reason=reason, updated_at=now))
            wake.append(start_promotion(tx, self.clock, promotion))
            ids.append(promotion.id)
        return Asked(ids[0], tuple(wake))

    def _restore(self, tx: Transaction, repo: Repo, hold: Hold, by: str) -> Asked:
        """The tag goes back to where the stage was left. Where it is there already, nothing is
        moved."""
        stage, head = hold.stage, tx.stage_head(hold.hub_id, hold.stage)
        if head is not None and hold.found == head.revision:
            look = tx.add_step(plan_step(self.clock, hold.hub_id))
            return Asked(hold.id, (look,), f"{stage} is at {short(head.revision)} again")
        promotion = restoration(tx, self.clock, self.rules, repo, stage, hold.found, by)
        return Asked(promotion.id, (start_promotion(tx, self.clock, promotion),))

    def _proven(self, view: View, repo: Repo, prefix: str, stage: str) -> Run:
        """The run that speaks for the one revision which begins like this."""
        runs = [r for r in view.runs(hub_id=repo.hub_id) if r.revision.startswith(prefix)]
        if not runs:
            raise Refused(
                f"no run of {repo.name}@{prefix} is on record; see: proctor runs {repo.name}"
            )
        if len({r.revision for r in runs}) > 1:
            shas = ", ".join(sorted({r.revision[:12] for r in runs}))
            raise Refused(f"{prefix} is the beginning of several revisions: {shas}")
        revision = runs[0].revision
        found = proof(view, self.rules, repo, revision, stage)
        lacks = (*found.missing, *found.coming)
        if lacks or found.run is None:
            raise Refused(
                f"{short(revision)} is not proven: {'; '.join(lacks)}. "
                f"See: proctor why {repo.name}@{short(revision)}"
            )
        return found.run

    def _stage(self, stage: str) -> None:
        names = [s.name for s in self.rules.stages]
        if stage not in names:
            raise Refused(f"there is no stage {stage!r}; the stages are {', '.join(names)}")

    def _free(self, view: View, repo: str, hub_id: str, stage: str) -> None:
        for hold in view.holds(hub_id=hub_id):
            if hold.stage == stage:
                raise Refused(
                    f"{stage} is held: {hold.reason}. Settle it first with: "
                    f"proctor release {repo} {stage} --accept, or --restore"
                )
        moving = view.promotions(hub_id=hub_id, stage=stage, open_only=True)
        if moving:
            raise Refused(f"a promotion to {stage} is under way ({moving[0].id})")


def _been_in(view: View, run: Run, stage: str) -> bool:
    head = view.stage_head(run.hub_id, stage)
    if head is not None and head.revision == run.revision:
        return True
    promotions: Sequence[Promotion] = view.promotions(hub_id=run.hub_id, stage=stage)
    return any(p.revision == run.revision and p.status is PromotionStatus.DONE for p in promotions)


def _as_last_seen(view: View, known: KnownRepo, hold: Hold) -> Hold:
    """The hold with the tag where it was last seen: by a look, unless the hold is newer."""
    if known.seen_at <= hold.since:
        return hold
    return replace(hold, found=view.refs_seen(hold.hub_id).get(tag_ref(hold.stage)))


def _waiting_for(view: View, hub_id: str, stage: str) -> Sequence[Run]:
    """Runs that stopped at this stage on their way, newest first."""
    found = []
    for run in view.runs(hub_id=hub_id, status=RunStatus.WAITING):
        # What a person asked for meanwhile, of another stage, is none of its own way.
        own = (p for p in view.promotions(run_id=run.id) if p.cause == "verdict")
        newest = next(own, None)
        if newest is not None and newest.stage == stage:
            found.append(run)
    return found
