"""Sync: record one revision in the registry, and let the checks of its runs begin."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from proctor.core.errors import RevisionGone
from proctor.core.names import Revision, parse_revision
from proctor.core.planning import SETTLE
from proctor.core.record import Entry
from proctor.core.registry import changed
from proctor.core.retry import GAVE_UP
from proctor.core.rule import Rules
from proctor.core.run import Run, RunStatus, Step
from proctor.flow.follow import by_id
from proctor.flow.runs import Link, QueueOf, fail_run, judge_step, ready_checks, sync_step
from proctor.flow.trouble import Trouble
from proctor.ports.clock import Clock
from proctor.ports.hub import Hub
from proctor.ports.ledger import Claim, Ledger, Transaction

HISTORY = 20
"""Commits recorded with each entry."""


@dataclass(frozen=True, slots=True)
class Sync:
    """The step. Its subject is "hub_id@revision"."""

    ledger: Ledger
    hub: Hub
    clock: Clock
    rules: Rules
    queue_of: QueueOf
    link: Link

    def do(self, claim: Claim, lost: Callable[[], bool]) -> Sequence[Step]:
        """Read card, labels, files and history of the revision; commit the entry and the steps
        of the checks that need no other. A run that may not begin yet asks for another sync."""
        hub_id, revision = _subject(claim)
        with self.ledger.view() as view:
            known = view.known_repo(hub_id)
            older = next((e for e in view.entries(hub_id) if e.revision != revision), None)
        if known is None:
            raise RevisionGone(f"the repo of {claim.step.subject} is not on record")
        with by_id(self.ledger, self.clock, hub_id):
            description = self.hub.describe(known.repo, revision)
            commits = tuple(self.hub.history(known.repo, revision, HISTORY))
        entry = Entry(
            hub_id=hub_id,
            description=description,
            commits=commits,
            changed=changed(older.description if older else None, description),
            synced_at=self.clock.now(),
        )
        with self.ledger.transaction() as tx:
            tx.known_repo(hub_id)  # first, as a look does, which ends runs and steps too
            tx.fence(claim)
            tx.put_entry(entry)
            wake: list[Step] = []
            for run in tx.runs(hub_id=hub_id, revision=revision, status=RunStatus.PLANNED):
                # A run is never put off for longer; one that is was planned by a wrong clock.
                if not 0 < run.begins_at - self.clock.now() <= SETTLE:
                    wake += self._begin(tx, run)
                else:
                    later = sync_step(self.clock, hub_id, revision)
                    tx.add_step(replace(later, due_at=run.begins_at))
            again = tx.finish(claim)
            return [*wake, again] if again else wake

    def give_up(self, claim: Claim, reason: str) -> Sequence[Step]:
        """The runs that wait for this entry fail, and people are told. Where none waits, they are
        told of tries in vain only: a revision that is gone by now is missed by nobody."""
        hub_id, revision = _subject(claim)
        wake: list[Step] = []
        with self.ledger.transaction() as tx:
            tx.known_repo(hub_id)
            tx.fail(claim, reason)
            for run in tx.runs(hub_id=hub_id, revision=revision, status=RunStatus.PLANNED):
                wake += fail_run(tx, self.clock, self.rules, run, reason, self.link)
            if not wake and reason.startswith(GAVE_UP):
                wake += Trouble(self.clock, self.rules, self.link).gave_up(tx, claim.step, reason)
        return wake

    def _begin(self, tx: Transaction, run: Run) -> Sequence[Step]:
        tx.save(replace(run, status=RunStatus.CHECKING, updated_at=self.clock.now()))
        checks = tx.checks(run.id)
        if not checks:
            return (tx.add_step(judge_step(self.clock, run)),)
        first = [check for check in checks if not check.needs]
        return ready_checks(tx, self.clock, run, first, self.queue_of)


def _subject(claim: Claim) -> tuple[str, Revision]:
    hub_id, _, revision = claim.step.subject.rpartition("@")
    return hub_id, parse_revision(revision)
