"""Promote: move a stage's tag, one journaled operation at a time, reading back after each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from proctor.core import compose
from proctor.core.errors import (
    Cancelled,
    PermanentError,
    ProctorError,
    TagExists,
    TagGone,
    TagMoved,
    TransientError,
)
from proctor.core.names import Repo, short, tag_ref
from proctor.core.promotion import (
    Create,
    Delete,
    Held,
    Operation,
    Promotion,
    PromotionStatus,
    Reached,
    ReleaseTaken,
    plan,
)
from proctor.core.record import Hold, StageHead
from proctor.core.rule import Rules
from proctor.core.run import Run, RunStatus, Step, StepKind
from proctor.flow.follow import by_id
from proctor.flow.journal import note_meant, note_seen, withdraw
from proctor.flow.outbox import tell
from proctor.flow.permission import may_begin, refused_by_now
from proctor.flow.rollback import past, was_in
from proctor.flow.runs import (
    Link,
    fail_run,
    new_promotion,
    plan_step,
    promote_step,
    start_promotion,
)
from proctor.flow.trouble import Trouble
from proctor.ports.clock import Clock
from proctor.ports.hub import Hub
from proctor.ports.ledger import FAILED, Claim, Ledger, Transaction, View

MOVES_A_TRY = 12
"""Operations in one try before the step is given back: a plan needs three, so more means that
someone else keeps moving the same tags."""

HALF_DONE_AGAIN = 60.0
"""Seconds until a move that stopped half-way is tried again; doubled each time that it stops."""

HALF_DONE_LONGEST = 3600.0
"""Seconds between two such tries at the most: what cannot go on for days (a repo that is gone, or
hidden from us) costs a call an hour."""


@dataclass(frozen=True, slots=True)
class Promote:
    """The step. Its subject is a promotion's id. Safe to run again from any point: it only ever
    compares the tags with what was decided."""

    ledger: Ledger
    hub: Hub
    clock: Clock
    rules: Rules
    link: Link

    def do(self, claim: Claim, lost: Callable[[], bool]) -> Sequence[Step]:
        """Observe, plan one move, journal it, make it, observe again; until the tags are as
        decided, or a person's tag stands in the way."""
        sure = False
        for _ in range(MOVES_A_TRY):
            if lost():
                raise Cancelled("the lease was lost while moving tags")
            with self.ledger.view() as view:
                promotion = view.promotion(claim.step.subject)
                if promotion is None:
                    raise PermanentError(f"promotion {claim.step.subject} is not on record")
                journal = view.operations(promotion.id)
                known = view.known_repo(promotion.hub_id)
                moved = _moved(promotion, journal)
                if not moved and not promotion.status.ended:
                    may_begin(view, self.rules, promotion)
                hold = None if moved else _hold(view, promotion)
            if promotion.status.ended:
                with self.ledger.transaction() as tx:
                    tx.finish(claim)
                return ()
            if known is None:
                raise PermanentError(f"the repo of promotion {promotion.id} is not on record")
            if hold is not None:
                stop = Held(promotion.stage, hold.found, hold.expected)
                return self._held(claim, known.repo, stop, hold.reason)
            with by_id(self.ledger, self.clock, promotion.hub_id):
                if not sure and not moved and promotion.expected is not None:
                    # Nothing is removed for a revision that is gone. Raises RevisionGone. Asked
                    # before the tags are read: what is read must be acted on at once.
                    self.hub.history(known.repo, promotion.revision, 1)
                    sure = True
                observed = self.hub.refs(known.repo)
            if moved and observed.get(tag_ref(promotion.stage)) == promotion.expected:
                with self.ledger.view() as view:
                    refusal = refused_by_now(view, self.rules, promotion)
                if refusal is not None:
                    return self._fail(claim, refusal, promotion.hub_id)
            move = plan(observed, promotion, journal)
            if isinstance(move, Reached):
                return self._reached(claim, promotion.hub_id)
            note_seen(self.ledger, self.clock, claim, promotion, observed, journal)
            if isinstance(move, Held):
                reason = compose.tag_moved(move.tag, move.found, move.expected)
                return self._held(claim, known.repo, move, reason)
            if isinstance(move, ReleaseTaken):
                self._renumber(claim, move)
                continue
            meant = note_meant(self.ledger, self.clock, claim, promotion, move, journal)
            if lost():  # frozen meanwhile, perhaps: another worker may be past this move
                raise Cancelled("the lease was lost while moving tags")
            with by_id(self.ledger, self.clock, promotion.hub_id):
                self._apply(claim, known.repo, promotion, move, meant)
        raise TransientError("the tags do not settle; someone else may be moving them", delay=30)

    def give_up(self, claim: Claim, reason: str) -> Sequence[Step]:
        """The promotion fails, its run too, and people are told.

        Not once the stage's tag was touched: half done is not an end. Then the promotion is tried
        again as a new step, less and less often, until the tags are as decided or a person's tag is
        in the way. Nor where the repo is gone: one that only hid from us comes back half moved."""
        with self.ledger.view() as view:
            promotion = view.promotion(claim.step.subject)
            journal = view.operations(promotion.id) if promotion else ()
        open_ = promotion is not None and not promotion.status.ended
        if promotion is not None and open_ and _moved(promotion, journal):
            return self._once_more(claim, promotion, reason)
        return self._fail(claim, reason, promotion.hub_id if promotion else "")

    def _once_more(self, claim: Claim, promotion: Promotion, reason: str) -> Sequence[Step]:
        with self.ledger.transaction() as tx:
            tries = tx.attempts(claim.step.kind, promotion.id)
            stopped = sum((t.outcome or "").startswith(FAILED) for t in tries)
            wait = min(HALF_DONE_AGAIN * 2.0 ** min(stopped, 10), HALF_DONE_LONGEST)
            tx.fail(claim, reason)
            step = tx.add_step(promote_step(self.clock, promotion, after=wait))
            if stopped:
                return (step,)  # people know
            trouble = Trouble(self.clock, self.rules, self.link)
            return (step, *trouble.half_moved(tx, claim.step, reason))

    def _fail(self, claim: Claim, reason: str, hub_id: str) -> Sequence[Step]:
        with self.ledger.transaction() as tx:
            tx.known_repo(hub_id)  # as a look does
            tx.fail(claim, reason)
            promotion = tx.promotion(claim.step.subject)
            trouble = Trouble(self.clock, self.rules, self.link)
            if promotion is None or promotion.status.ended:
                return trouble.gave_up(tx, claim.step, reason)
            failed = self._end(tx, promotion, PromotionStatus.FAILED, reason)
            # Looks left the stage to us: what a person did to its tag meanwhile is still unseen.
            look = tx.add_step(plan_step(self.clock, promotion.hub_id))
            run = tx.run(promotion.run_id)
            if run is None:
                return (look, *trouble.gave_up(tx, claim.step, reason))
            if not _carries(promotion, run):
                notice = compose.promotion_failed(
                    run.repo_name, failed, self.link(run.repo_type, run.repo_name, failed.revision)
                )
                return (look, *tell(tx, self.clock, notice, self._channels(run)))
            text = f"promotion to {promotion.stage} failed: {reason}"
            return (look, *fail_run(tx, self.clock, self.rules, run, text, self.link))

    def _apply(
        self,
        claim: Claim,
        repo: Repo,
        promotion: Promotion,
        move: Create | Delete,
        meant: Operation | None,
    ) -> None:
        """Make the call, and take `meant`, which this try recorded for it, off the record where
        nothing was done. That a call succeeded proves nothing, and "exists", "gone" and "moved"
        are no errors here: the next observation tells."""
        try:
            if isinstance(move, Create):
                what = f"Proctor {promotion.cause} {promotion.id}: {promotion.stage}"
                self.hub.create_tag(repo, move.tag, move.revision, what)
            else:
                self.hub.delete_tag(repo, move.tag, move.revision)
        except ProctorError as error:
            if error.without_effect and meant is not None:
                withdraw(self.ledger, self.clock, claim, meant)
            if not isinstance(error, TagExists | TagGone | TagMoved):
                raise

    def _reached(self, claim: Claim, hub_id: str) -> Sequence[Step]:
        now = self.clock.now()
        with self.ledger.transaction() as tx:
            tx.known_repo(hub_id)  # as a look does, which locks stages and steps too
            tx.fence(claim)
            promotion = _known(tx, claim)
            done = self._end(tx, promotion, PromotionStatus.DONE, "")
            tx.put_stage_head(
                StageHead(promotion.hub_id, promotion.stage, promotion.revision, now, promotion.id)
            )
            # After the stage: a look locks them in this order too.
            unseen = [o for o in tx.operations(promotion.id) if o.observed_at is None]
            tx.save_all([replace(operation, observed_at=now) for operation in unseen])
            # Whoever is next in line starts from here.
            for other in tx.promotions(
                hub_id=promotion.hub_id, stage=promotion.stage, open_only=True
            ):
                if _overtaken(other, promotion):
                    reason = (
                        f"{other.stage} was moved to {short(promotion.revision)} first, "
                        "which was decided later"
                    )
                    tx.cancel_steps(StepKind.PROMOTE, other.id, reason)
                    self._end(tx, other, PromotionStatus.CANCELLED, reason)
                else:
                    tx.save(replace(other, expected=promotion.revision))
            wake: list[Step] = []
            run = tx.run(promotion.run_id)
            if run is not None:
                after = self._next_stage(run, promotion)
                # Not the run's revision: what is put back may have none of its own.
                link = self.link(run.repo_type, run.repo_name, done.revision)
                if done.cause == "rollback":
                    notice = compose.rolled_back(run.repo_name, done, link)
                else:
                    line = past(tx, done.hub_id, done.stage)[1]
                    undoable = bool(line) and line[-1].revision == done.expected
                    notice = compose.promoted(run.repo_name, done, link, undoable=undoable)
                wake += tell(tx, self.clock, notice, self._channels(run))
                if _carries(promotion, run):
                    wake += self._onward(tx, run, after)
            tx.finish(claim)
            return wake

    def _onward(self, tx: Transaction, run: Run, stage: str | None) -> Sequence[Step]:
        now = self.clock.now()
        if stage is None:
            reached = replace(run, status=RunStatus.PROMOTED, reason="promoted", updated_at=now)
            tx.save(reached)
            return ()
        onward = new_promotion(tx, self.clock, self.rules, run, stage, cause="verdict", by="gate")
        reason = f"passed; on its way to {stage}"
        tx.save(replace(run, status=RunStatus.PROMOTING, reason=reason, updated_at=now))
        return (start_promotion(tx, self.clock, onward),)

    def _next_stage(self, run: Run, promotion: Promotion) -> str | None:
        pipeline = self.rules.pipeline(run.pipeline)
        stages = pipeline.promote if pipeline else ()
        if promotion.stage not in stages:
            return None
        rest = stages[stages.index(promotion.stage) + 1 :]
        return rest[0] if rest else None

    def _held(self, claim: Claim, repo: Repo, move: Held, reason: str) -> Sequence[Step]:
        """A person's tag, or word, is in the way: nothing is overwritten."""
        now = self.clock.now()
        with self.ledger.transaction() as tx:
            # First, as a look does: who settles the hold now either finds our run among those that
            # wait for it, or we find the hold settled.
            tx.known_repo(repo.hub_id)
            tx.fence(claim)
            promotion = _known(tx, claim)
            self._end(tx, promotion, PromotionStatus.HELD, reason)
            wake: list[Step] = []
            run = tx.run(promotion.run_id)
            if not any(h.stage == move.tag for h in tx.holds(hub_id=promotion.hub_id)):
                hold = Hold(
                    id=self.clock.new_id(),
                    hub_id=promotion.hub_id,
                    stage=promotion.stage,
                    reason=reason,
                    found=move.found,
                    expected=move.expected,
                    since=now,
                )
                tx.add(hold)
                link = self.link(repo.type, repo.name, None)
                left = move.expected
                proven = left is not None and was_in(tx, hold.hub_id, hold.stage, left)
                notice = compose.stage_held(repo.name, hold, link, proven=proven)
                wake += tell(tx, self.clock, notice, self._channels(run))
            if run is not None and _carries(promotion, run):
                tx.save(replace(run, status=RunStatus.WAITING, reason=reason, updated_at=now))
            tx.finish(claim)
            return wake

    def _renumber(self, claim: Claim, taken: ReleaseTaken) -> None:
        stage, _, number = taken.tag.rpartition("-")
        with self.ledger.transaction() as tx:
            tx.fence(claim)
            promotion = _known(tx, claim)
            after = max(int(number) + 1, tx.next_release(promotion.hub_id, stage))
            tx.save(replace(promotion, release=f"{stage}-{after}"))

    def _end(
        self, tx: Transaction, promotion: Promotion, status: PromotionStatus, reason: str
    ) -> Promotion:
        ended = replace(promotion, status=status, reason=reason, ended_at=self.clock.now())
        tx.save(ended)
        return ended

    def _channels(self, run: Run | None) -> tuple[str, ...]:
        pipeline = self.rules.pipeline(run.pipeline) if run else None
        return pipeline.notify if pipeline else ()


def _known(tx: Transaction, claim: Claim) -> Promotion:
    promotion = tx.promotion(claim.step.subject)
    if promotion is None:
        raise ProctorError(f"promotion {claim.step.subject} is not on record")
    return promotion


def _hold(view: View, promotion: Promotion) -> Hold | None:
    holds = view.holds(hub_id=promotion.hub_id)
    return next((h for h in holds if h.stage == promotion.stage), None)


def _overtaken(other: Promotion, done: Promotion) -> bool:
    """Whether `done` was decided after `other`, which a person asked for and nobody began: carried
    out now, it would undo what is newer. In their order, `done` would have come last."""
    unbegun = other.status is PromotionStatus.PLANNED and other.cause != "verdict"
    return unbegun and other.created_at < done.created_at


def _carries(promotion: Promotion, run: Run) -> bool:
    """Whether the run goes on with this promotion; one that a person asked for stands alone."""
    return promotion.cause == "verdict" and not run.status.ended


def _moved(promotion: Promotion, journal: Sequence[Operation]) -> bool:
    """Whether the stage's own tag was touched: from then on there is only forward."""
    return any(o.tag == promotion.stage for o in journal)
