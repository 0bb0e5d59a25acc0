"""Reconcile: compare the Hub's heads with the ledger. A webhook that never came is found here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from proctor.core.event import Event, RefUpdate
from proctor.core.evidence import digest
from proctor.core.names import Repo, RepoType, Revision
from proctor.core.rule import Rules, match
from proctor.core.run import Step
from proctor.flow.runs import plan_step
from proctor.ports.clock import Clock
from proctor.ports.hub import Hub
from proctor.ports.ledger import Ledger, View
from proctor.ports.queue import Queue

MAIN = "refs/heads/main"

STALE = 900.0
"""Seconds after which a repo that a pipeline covers is looked at again, whatever its head: other
refs and the stages' tags do not show in a list of heads."""

_GLOB = frozenset("*?[")


@dataclass(frozen=True, slots=True)
class Reconcile:
    """Asks for looks; what they find is the plan step's to decide."""

    ledger: Ledger
    hub: Hub
    queue: Queue
    clock: Clock
    rules: Rules

    def once(self) -> int:
        """One pass; returns how many repos are to be looked at.

        Costs one listing for each owner named by a pipeline (an owner with wildcards cannot be
        listed: its repos are found once a webhook told of them). Raises LedgerUnavailable, and
        what the Hub raises: what was found until then stands.
        """
        asked = 0
        for kind, owner in owners(self.rules):
            for repo, head in self.hub.heads(owner, kind):
                if head is None or not match(self.rules.pipelines, repo.type, repo.name):
                    continue
                with self.ledger.view() as view:
                    seen = view.refs_seen(repo.hub_id).get(MAIN)
                if seen != head:
                    self._note(repo, seen, head)
                    asked += 1
        with self.ledger.view() as view:
            stale = self._stale(view)
        for hub_id in stale:
            with self.ledger.transaction() as tx:
                step = tx.add_step(plan_step(self.clock, hub_id))
            self.queue.wake(step)
        return asked + len(stale)

    def _note(self, repo: Repo, seen: Revision | None, head: Revision) -> None:
        event = Event(
            id=self.clock.new_id(),
            identity=digest(["sweep", repo.hub_id, MAIN, head]),
            source="sweep",
            received_at=self.clock.now(),
            action="update",
            scope="repo.content",
            repo_type=repo.type,
            hub_id=repo.hub_id,
            repo_name=repo.name,
            updates=(RefUpdate(MAIN, seen, head),),
            head=head,
        )
        with self.ledger.transaction() as tx:
            step: Step = tx.add_step(plan_step(self.clock, repo.hub_id))
            tx.add_event(event)
        self.queue.wake(step)

    def _stale(self, view: View) -> Sequence[str]:
        """Known repos that a pipeline covers, not looked at for long and with no look to come."""
        planned = {s.subject for s in view.open_steps()}
        before = self.clock.now() - STALE
        return [
            known.repo.hub_id
            for known in view.known_repos()
            if known.seen_at <= before
            and known.repo.hub_id not in planned
            and match(self.rules.pipelines, known.repo.type, known.repo.name)
        ]


def owners(rules: Rules) -> Sequence[tuple[RepoType, str]]:
    """The owners whose repos pipelines cover, without those written with wildcards."""
    found: dict[tuple[RepoType, str], None] = {}
    for pipeline in rules.pipelines:
        owner, slash, _ = pipeline.match.repo.partition("/")
        if slash and owner and not _GLOB & set(owner):
            found[(pipeline.match.type, owner)] = None
    return tuple(found)
