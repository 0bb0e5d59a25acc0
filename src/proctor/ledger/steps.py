"""The life of a step: asked for, claimed, done. Each change is one conditional statement.

    READY --claim--> RUNNING --finish--> DONE        (or READY, when asked for again meanwhile)
      ^                 |-----fail-----> FAILED
      '--give_back, reclaim-'

A claim is held by its fence: the number grows with each claim and each cancellation, so a worker
that was presumed dead finds 0 rows to write to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import CursorResult, Double, Select, bindparam, case, exists, func, select, update
from sqlalchemy.sql.dml import ReturningUpdate
from sqlalchemy.sql.elements import ColumnElement

from proctor.core.errors import StaleClaim
from proctor.core.run import LONGEST_LEASE, Attempt, Step, StepKind, StepState
from proctor.ledger.mapping import to_value
from proctor.ledger.reads.base import Reads, among
from proctor.ledger.reads.runs import ATTEMPTS, OPEN_STEP, STEPS
from proctor.ledger.writes import add_row
from proctor.ports.clock import Clock
from proctor.ports.ledger import DONE, FAILED, GIVEN_BACK, Claim

READY, RUNNING = StepState.READY.value, StepState.RUNNING.value

# The statements of every step that is done, put together once: that takes longer than SQLite takes
# to run them, and the write transaction waits for both.

_HELD: Final = (
    STEPS.c.id == bindparam("step"),
    STEPS.c.state == RUNNING,
    STEPS.c.fence == bindparam("held_at"),
)
_FENCE: Final = select(STEPS.c.again_due).where(*_HELD).with_for_update()
_RENEW: Final = update(STEPS).where(*_HELD)

_FREED: Final[Mapping[str, None]] = {"worker": None, "lease_until": None, "again_due": None}
_ASKED_AGAIN: Final = STEPS.c.again_due.is_not(None)
_FINISH: Final = (
    update(STEPS)
    .where(*_HELD)
    .values(
        state=case((_ASKED_AGAIN, READY), else_=StepState.DONE.value),
        due_at=func.coalesce(STEPS.c.again_due, STEPS.c.due_at),
        attempts=case((_ASKED_AGAIN, 0), else_=STEPS.c.attempts),
        error=None,
        **_FREED,
    )
    .returning(*STEPS.c)
)

_OPEN: Final = (
    select(STEPS)
    .where(
        STEPS.c.kind == bindparam("kind"),
        STEPS.c.subject == bindparam("subject"),
        among(STEPS.c.state, OPEN_STEP),
    )
    .with_for_update()
)

_END_ATTEMPT: Final = update(ATTEMPTS).where(
    ATTEMPTS.c.step_id == bindparam("step"),
    ATTEMPTS.c.fence == bindparam("held_at"),
    ATTEMPTS.c.ended_at.is_(None),
)


def _claim() -> ReturningUpdate[Any]:
    rival, now = STEPS.alias("rival"), bindparam("now", type_=Double)
    locked = exists().where(
        rival.c.lock == STEPS.c.lock,
        rival.c.lock != "",
        # Also one that was cancelled while it ran, as long as its lease lasts; but not for
        # as long as a clock says that was wrong: nobody takes such a lease back.
        (rival.c.state == RUNNING)
        | (rival.c.lease_until > now) & (rival.c.lease_until <= bindparam("longest", type_=Double)),
    )
    ready = (STEPS.c.id == bindparam("step"), STEPS.c.state == READY, STEPS.c.due_at <= now)
    claimed = (
        update(STEPS)
        .where(*ready, ~locked.correlate(STEPS))
        .values(state=RUNNING, fence=STEPS.c.fence + 1, attempts=STEPS.c.attempts + 1)
        .values(worker=bindparam("by"), lease_until=bindparam("until"))
    )
    return claimed.returning(*STEPS.c)


_CLAIM: Final = _claim()


class StepWrites(Reads):
    """Writes to steps and their attempts, in the transaction of `_connection`."""

    _clock: Clock

    def add_step(self, step: Step) -> Step:
        """Ask for a step; returns the one that stands. See the port."""
        if step.state is not StepState.READY:
            raise ValueError(f"a step is asked for as ready, not {step.state}")
        while True:
            if add_row(self._connection, step):
                return step
            standing = self._standing(step)
            if standing is not None:
                return standing
            if self._one(Step, id=step.id) is not None:
                raise ValueError(f"a step with id {step.id} exists")
            # The step in our way ended between the two looks: ask again.

    def _standing(self, step: Step) -> Step | None:
        """The open step of the same (kind, subject), told that it was asked for again."""
        standing = self._open(step.kind, step.subject)
        if standing is None:
            return None
        if standing.state is StepState.READY:
            standing = replace(standing, due_at=min(standing.due_at, step.due_at))
            self._update(STEPS.c.id == standing.id, due_at=standing.due_at)
            return standing
        asked = STEPS.c.again_due
        earlier = case((asked < step.due_at, asked), else_=step.due_at)
        self._update(STEPS.c.id == standing.id, again_due=earlier)
        return standing

    def _open(self, kind: StepKind, subject: str) -> Step | None:
        """The open step of that kind and subject, locked."""
        row = self._connection.execute(_OPEN, {"kind": kind.value, "subject": subject}).first()
        return None if row is None else to_value(Step, row)

    def cancel_steps(self, kind: StepKind, subject: str, reason: str) -> int:
        """End READY and RUNNING steps: DONE, with the reason as their error."""
        found = self._open(kind, subject)
        if found is None:
            return 0
        self._end_attempt(found, f"cancelled: {reason}")
        self._update(
            STEPS.c.id == found.id,
            state=StepState.DONE.value,
            fence=found.fence + 1,
            worker=None,
            # Whoever runs it has until then to notice: its lock is not free before.
            lease_until=found.lease_until,
            error=reason,
            again_due=None,
        )
        return 1

    def claim(self, step_id: str, worker: str, lease: float) -> Claim | None:
        """See `Ledger.claim`. On PostgreSQL a rival for the same lock shows as an IntegrityError
        of the index `steps_lock`, which means None."""
        now = self._clock.now()
        bound = {"step": step_id, "now": now, "longest": now + LONGEST_LEASE}
        bound |= {"by": worker, "until": now + lease}
        row = self._connection.execute(_CLAIM, bound).first()
        if row is None:
            return None
        step = to_value(Step, row)
        attempt = Attempt(step.id, step.fence, step.kind, step.subject, worker, started_at=now)
        add_row(self._connection, attempt)
        return Claim(step, worker)

    def renew(self, claim: Claim, lease: float) -> bool:
        """See `Ledger.renew`."""
        bound = {"lease_until": self._clock.now() + lease, **_holding(claim)}
        return self._connection.execute(_RENEW, bound).rowcount == 1

    def reclaim(self, step: Step) -> bool:
        """See `Ledger.reclaim`. A renewal since `step` was read counts: the lease is compared
        too."""
        freed = self._update(
            STEPS.c.id == step.id,
            STEPS.c.state == RUNNING,
            STEPS.c.fence == step.fence,
            STEPS.c.lease_until == step.lease_until,
            state=READY,
            worker=None,
            lease_until=None,
            error="lease expired",
            again_due=None,  # the next claim looks again anyway
        )
        if freed.rowcount == 0:
            return False
        self._end_attempt(step, "lease expired")
        return True

    def fence(self, claim: Claim) -> None:
        """Lock the claimed step. Raises StaleClaim unless the claim still holds it."""
        self._again_due(claim)

    def finish(self, claim: Claim) -> Step | None:
        """End the step as DONE; the step when it was asked for again (READY then)."""
        row = self._connection.execute(_FINISH, _holding(claim)).first()
        if row is None:
            raise _stale(claim)
        self._end_attempt(claim.step, DONE)
        ended = to_value(Step, row)
        return ended if ended.state is StepState.READY else None

    def give_back(self, claim: Claim, due_at: float, error: str | None, *, counts: bool) -> None:
        """Make the step READY again, due at `due_at` (earlier when it was asked for again)."""
        again_due = self._again_due(claim)
        self._end_attempt(claim.step, f"{GIVEN_BACK}{error}" if error else GIVEN_BACK.rstrip(": "))
        self._release(
            claim,
            state=READY,
            due_at=due_at if again_due is None else min(due_at, again_due),
            attempts=claim.step.attempts - (0 if counts else 1),
            error=error,
        )

    def fail(self, claim: Claim, error: str) -> None:
        """End the step as FAILED. When it was asked for again meanwhile, a fresh step answers
        that: the failed one stays on record."""
        again_due = self._again_due(claim)
        self._end_attempt(claim.step, f"{FAILED}{error}")
        self._release(claim, state=StepState.FAILED.value, error=error)
        if again_due is not None:
            step = claim.step
            self.add_step(
                Step(
                    self._clock.new_id(), step.kind, step.subject, step.queue, again_due, step.lock
                )
            )

    def _again_due(self, claim: Claim) -> float | None:
        row = self._connection.execute(_FENCE, _holding(claim)).first()
        if row is None:
            raise _stale(claim)
        due: float | None = row[0]
        return due

    def _release(self, claim: Claim, **values: object) -> None:
        self._update(STEPS.c.id == claim.step.id, **_FREED, **values)

    def _end_attempt(self, step: Step, outcome: str) -> None:
        bound = {"step": step.id, "held_at": step.fence}
        self._connection.execute(
            _END_ATTEMPT, {**bound, "ended_at": self._clock.now(), "outcome": outcome}
        )

    def _update(
        self, *conditions: ColumnElement[bool], **values: object
    ) -> CursorResult[tuple[()]]:
        return self._connection.execute(update(STEPS).where(*conditions).values(**values))


def expired(now: float) -> Select[tuple[object, ...]]:
    """RUNNING steps whose lease has ended, longest ago first."""
    query = select(STEPS).where(STEPS.c.state == RUNNING, STEPS.c.lease_until <= now)
    return query.order_by(STEPS.c.lease_until, STEPS.c.seq)


def queues_due(now: float) -> Select[Any]:
    """The queues on which READY steps are due."""
    query = select(STEPS.c.queue).where(STEPS.c.state == READY, STEPS.c.due_at <= now)
    return query.distinct().order_by(STEPS.c.queue)


def due(now: float, queue: str, limit: int) -> Select[tuple[object, ...]]:
    """READY steps of one queue that are due, oldest first."""
    ready = (STEPS.c.state == READY, STEPS.c.due_at <= now, STEPS.c.queue == queue)
    query = select(STEPS).where(*ready)
    return query.order_by(STEPS.c.due_at, STEPS.c.seq).limit(limit)


def _holding(claim: Claim) -> dict[str, object]:
    """What `_HELD` is bound to."""
    return {"step": claim.step.id, "held_at": claim.step.fence}


def _stale(claim: Claim) -> StaleClaim:
    step = claim.step
    return StaleClaim(
        f"{claim.worker} no longer holds {step.kind} step {step.id} (fence {step.fence})"
    )
