"""Sweep: put back what is overdue. The broker may lose any message; this finds what it lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from proctor.core.event import Disposition
from proctor.core.run import Step, StepKind, StepState
from proctor.flow.runs import plan_step
from proctor.ports.clock import Clock
from proctor.ports.ledger import Ledger
from proctor.ports.queue import Queue

PATIENCE = 10.0
"""Seconds that a due step may wait for its own message before the sweep sends another; doubled
with each that it sends, so that a busy queue does not fill with hints. A step that was put off
has no message of its own: it gets one as soon as it is due."""

LONGEST = 300.0
"""Seconds between two hints for one step at the most."""


@dataclass(frozen=True, slots=True)
class Swept:
    """What one pass did: steps taken from dead workers, hints sent, looks added for events that
    no step was waiting for."""

    reclaimed: int
    woken: int
    orphans: int


@dataclass(slots=True)
class Sweep:
    """Keeps in memory only which steps are put off, and when it last sent a hint for each that is
    due: losing that costs a hint."""

    ledger: Ledger
    queue: Queue
    clock: Clock
    _next: dict[str, tuple[float, float]] = field(default_factory=dict)
    _put_off: set[str] = field(default_factory=set)

    def once(self) -> Swept:
        """One pass. Raises LedgerUnavailable."""
        now = self.clock.now()
        reclaimed = [s for s in self.ledger.expired(now) if self.ledger.reclaim(s)]
        for step in reclaimed:
            self._next.pop(step.id, None)
        with self.ledger.view() as view:
            steps = view.open_steps()
            waiting = view.events(disposition=Disposition.PENDING, limit=1000)
        orphans = self._look({e.hub_id for e in waiting} - _subjects(steps, StepKind.PLAN))
        due = self.ledger.due(now)
        fresh = {s.id for s in reclaimed} | self._put_off
        self._put_off = {s.id for s in steps if s.state is StepState.READY and s.due_at > now}
        woken = sum(1 for step in due if self._is_time(step, now, step.id in fresh))
        self._next = {s.id: self._next[s.id] for s in due if s.id in self._next}
        return Swept(len(reclaimed), woken, orphans)

    def _is_time(self, step: Step, now: float, fresh: bool) -> bool:
        at, wait = self._next.get(step.id, (step.due_at if fresh else step.due_at + PATIENCE, 0.0))
        if now < at and not fresh:
            self._next[step.id] = (at, wait)
            return False
        wait = min(LONGEST, max(PATIENCE, wait * 2))
        self._next[step.id] = (now + wait, wait)
        return self.queue.wake(step)

    def _look(self, orphans: set[str]) -> int:
        for hub_id in sorted(orphans):
            with self.ledger.transaction() as tx:
                step = tx.add_step(plan_step(self.clock, hub_id))
            self.queue.wake(step)
        return len(orphans)


def _subjects(steps: Sequence[Step], kind: StepKind) -> set[str]:
    return {s.subject for s in steps if s.kind is kind}
