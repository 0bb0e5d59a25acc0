"""Alarm: our own write to the Hub should come back as a webhook. One that does not is a sign that
none comes."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from proctor.core import compose
from proctor.core.promotion import Operation
from proctor.core.rule import Rules
from proctor.core.run import Step
from proctor.flow.outbox import tell
from proctor.flow.runs import Link
from proctor.ports.clock import Clock
from proctor.ports.ledger import Ledger, View
from proctor.ports.queue import Queue

WITHIN = 900.0
"""Seconds for the webhook of a tag move to come back."""

WINDOW = 24 * 3600.0
"""Seconds after which nobody is alarmed any more: what was missed then is old news."""


@dataclass(slots=True)
class Alarm:
    """Keeps in memory only which promotions it told of: the record knows too."""

    ledger: Ledger
    queue: Queue
    clock: Clock
    rules: Rules
    link: Link
    _told: set[str] = field(default_factory=set)

    def once(self) -> int:
        """One pass; how many promotions people are now told of. Raises LedgerUnavailable."""
        now = self.clock.now()
        with self.ledger.view() as view:
            missing = _missing(view, now) if view.deliveries(limit=1) else ()
        promotions = {o.promotion_id for o in missing}
        self._told &= promotions
        told = 0
        for promotion_id in sorted(promotions - self._told):
            wake: Sequence[Step] = ()
            with suppress(ValueError):  # on record: told by another process, or before a restart
                wake = self._tell(promotion_id)
            self._told.add(promotion_id)
            told += bool(wake)
            for step in wake:
                self.queue.wake(step)
        return told

    def _tell(self, promotion_id: str) -> Sequence[Step]:
        with self.ledger.transaction() as tx:
            promotion = tx.promotion(promotion_id)
            run = tx.run(promotion.run_id) if promotion else None
            if promotion is None or run is None:
                return ()
            pipeline = self.rules.pipeline(run.pipeline)
            link = self.link(run.repo_type, run.repo_name, None)
            notice = compose.echo_missing(run.repo_name, promotion, link)
            return tell(tx, self.clock, notice, pipeline.notify if pipeline else ())


def _missing(view: View, now: float) -> Sequence[Operation]:
    """A webhook whose repo is still to be looked at may be the one: it is waited for."""
    found = view.unechoed(now - WINDOW, now - WITHIN)
    waiting = {o.hub_id: bool(view.pending_events(o.hub_id)) for o in found}
    return [o for o in found if not waiting[o.hub_id]]
