"""Sweep: put back what is overdue. The broker may lose any message; this finds what it lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from proctor.core.event import Disposition
from proctor.core.run import LONGEST_LEASE, Step, StepKind, StepState
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

FURTHEST = 25 * 3600.0
"""Seconds from now to the furthest time that a step may be put off to, with an hour to spare: a
peer that asks to be left alone is believed for a day. What is due later was written while a clock
was wrong, and is due now."""


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
    _doubted: dict[tuple[str, float], float] = field(default_factory=dict)

    def once(self) -> Swept:
        """One pass. Raises LedgerUnavailable."""
        now = self.clock.now()
        with self.ledger.view() as view:
            steps = view.open_steps()
            waiting = view.events(disposition=Disposition.PENDING, limit=1000)
        dead = [*self.ledger.expired(now), *self._dead(steps, now)]
        reclaimed = [s for s in dead if self.ledger.reclaim(s)]
        for step in reclaimed:
            self._next.pop(step.id, None)
        orphans = self._look({e.hub_id for e in waiting} - _subjects(steps, StepKind.PLAN))
        fresh = {s.id for s in reclaimed} | self._put_off | self._pull_in(steps, now)
        due = self.ledger.due(now)
        self._put_off = {s.id for s in steps if s.state is StepState.READY and s.due_at > now}
        woken = sum(1 for step in due if self._is_time(step, now, step.id in fresh))
        self._next = {s.id: self._next[s.id] for s in due if s.id in self._next}
        return Swept(len(reclaimed), woken, orphans)

    def _dead(self, steps: Sequence[Step], now: float) -> Sequence[Step]:
        """Steps under a lease that no clock which is right can have written, and that nobody
        renewed for as long as the longest lease. Told by the renewals and not by the lease:
        whoever is alive keeps its work."""
        seen, at = self._doubted, self.clock.monotonic()
        self._doubted = {
            (s.id, s.lease_until): seen.get((s.id, s.lease_until), at)
            for s in steps
            if s.lease_until is not None and s.lease_until > now + LONGEST_LEASE
        }
        dead = {key for key, since in self._doubted.items() if at - since >= LONGEST_LEASE}
        return [s for s in steps if (s.id, s.lease_until) in dead]

    def _pull_in(self, steps: Sequence[Step], now: float) -> set[str]:
        """Make due what is put off too far: asking again makes a step due at the earlier time."""
        far = [s for s in steps if s.state is StepState.READY and s.due_at > now + FURTHEST]
        for step in far:
            with self.ledger.transaction() as tx:
                tx.add_step(replace(step, id=self.clock.new_id(), due_at=now, fence=0, attempts=0))
        return {s.id for s in far}

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
