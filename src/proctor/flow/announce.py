"""Announce: send one notice to one channel, and mark it as sent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from proctor.core import compose
from proctor.core.record import OutboxState
from proctor.core.run import Step, StepState
from proctor.flow.outbox import DEFAULT_CHANNEL, tell
from proctor.ports.clock import Clock
from proctor.ports.ledger import Claim, Ledger
from proctor.ports.notifier import Notifier


@dataclass(frozen=True, slots=True)
class Announce:
    """The step. Its subject is an OutboxNotice's id. At least once: a crash between the send and
    the mark sends again, with the same key."""

    ledger: Ledger
    clock: Clock
    notifier: Callable[[str], Notifier]

    def do(self, claim: Claim, lost: Callable[[], bool]) -> Sequence[Step]:
        """Send it unless it was sent; the next in line for the channel is woken."""
        with self.ledger.view() as view:
            row = view.notice(claim.step.subject)
        if row is None or row.state is not OutboxState.PENDING:
            with self.ledger.transaction() as tx:
                tx.finish(claim)
            return self._next(claim)
        self.notifier(row.channel).send(row.notice)
        with self.ledger.transaction() as tx:
            tx.fence(claim)
            tx.save(replace(row, state=OutboxState.SENT, sent_at=self.clock.now(), error=None))
            tx.finish(claim)
        return self._next(claim)

    def give_up(self, claim: Claim, reason: str) -> Sequence[Step]:
        """The notice stays on record as failed, and the log says so: the channel cannot."""
        with self.ledger.transaction() as tx:
            row = tx.notice(claim.step.subject)
            if row is not None:
                tx.save(replace(row, state=OutboxState.FAILED, error=reason))
            tx.fail(claim, reason)
            if row is None or row.channel == DEFAULT_CHANNEL:
                return ()
            about = f'"{row.notice.title}" to {row.channel}'
            notice = compose.step_gave_up(replace(claim.step, error=reason), about, "")
            return tell(tx, self.clock, notice, (DEFAULT_CHANNEL,))

    def _next(self, claim: Claim) -> Sequence[Step]:
        """Its own message may have come while this one was sent, and gone in vain."""
        lock, now = claim.step.lock, self.clock.now()
        with self.ledger.view() as view:
            line = [s for s in view.open_steps() if s.lock == lock and s.state is StepState.READY]
        return [s for s in line if lock and s.due_at <= now][:1]
