"""Reconcile: compare the Hub's heads with the ledger. A webhook that never came is found here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from proctor.core.errors import LedgerUnavailable, ProctorError, TokenRefused, TransientError
from proctor.core.event import Event, RefUpdate
from proctor.core.evidence import digest
from proctor.core.names import Repo, RepoType, Revision
from proctor.core.rule import Rules, match
from proctor.core.run import StepKind
from proctor.flow.runs import plan_step
from proctor.flow.trouble import RefusedToken, last_end
from proctor.ports.clock import Clock
from proctor.ports.hub import Hub
from proctor.ports.ledger import FAILED, Ledger, View
from proctor.ports.queue import Queue

MAIN = "refs/heads/main"

STALE = 900.0
"""Seconds after which a repo may be looked at again whatever its head: other branches and the
stages' tags do not show in a list of heads."""

GONE_AGAIN = 3600.0
"""Seconds after which a repo that was gone, or whose look failed for good, is looked at again: one
wrong answer must not last."""

AHEAD = 60.0
"""Seconds that a time on record may be ahead of now. What is further ahead was written while a
clock was wrong, and does not count."""

LOOKS = 10
"""Such repos looked at in one pass, the longest unseen first: each costs a few calls."""

_GLOB = frozenset("*?[")

Owner: TypeAlias = tuple[RepoType, str]


@dataclass(frozen=True, slots=True)
class Drift:
    """What one pass found. `heads` were compared; `missed` are names of repos whose head no event
    had told of; `looks` are asked for because of what a list does not show. `trouble` says in
    words what could not be listed; `wait` is how long the Hub asked us to stay away, in seconds.
    `reached` is False when nothing could be listed and all trouble is of the kind that passes.
    `begin_at` is the owner to begin the next pass with, where the Hub asked us to stay away.
    """

    heads: int
    missed: tuple[str, ...]
    looks: int
    trouble: tuple[str, ...]
    wait: float
    reached: bool = True
    begin_at: Owner | None = None


@dataclass(frozen=True, slots=True)
class Reconcile:
    """Asks for looks; what they find is the plan step's to decide."""

    ledger: Ledger
    hub: Hub
    queue: Queue
    clock: Clock
    rules: Rules

    def once(self, begin_at: Owner | None = None) -> Drift:
        """One pass, which begins with that owner, where it is one.

        Costs one listing for each owner named by a pipeline, a call for each 1,000 repos (an
        owner with wildcards cannot be listed: its repos are found once a webhook told of them).
        An owner that cannot be listed does not keep the others from it; but where the Hub asks us
        to wait, nobody else is listed, and the next pass goes on there. Of a token that the Hub
        refuses people are told. Raises LedgerUnavailable: what was found until then stands.
        """
        with self.ledger.view() as view:
            seen = view.seen_at(MAIN)
        heads, missed, trouble, wait = 0, [], [], 0.0
        asked, answered, stopped = _from(owners(self.rules), begin_at), 0, None
        refused = False
        for kind, owner in asked:
            try:
                for repo, head in self._listed(kind, owner):
                    heads += 1
                    before = seen.get(repo.hub_id)
                    if before != head and self._note(repo, before, head):
                        missed.append(repo.name)
                answered += 1
            except LedgerUnavailable:
                raise
            except ProctorError as error:
                answered += not isinstance(error, TransientError)
                refused = refused or isinstance(error, TokenRefused)
                trouble.append(f"the {kind.value}s of {owner} cannot be listed: {error}")
                wait = getattr(error, "delay", None) or 0.0
                if wait:
                    stopped = (kind, owner)
                    break
        for step in RefusedToken(self.ledger, self.clock, self.rules).tell() if refused else ():
            self.queue.wake(step)
        reached = bool(heads or answered or not asked)
        if stopped and stopped == asked[0] and not reached:
            # It may be this owner only: the others have their turn before it.
            stopped = asked[1 % len(asked)]
        looks = self._look_closer()
        return Drift(heads, tuple(missed), looks, tuple(trouble), wait, reached, stopped)

    def _listed(self, kind: RepoType, owner: str) -> Iterator[tuple[Repo, Revision]]:
        for repo, head in self.hub.heads(owner, kind):
            if head is not None and match(self.rules.pipelines, repo.type, repo.name):
                yield repo, head

    def _note(self, repo: Repo, seen: Revision | None, head: Revision) -> bool:
        """Record the event that the webhook would have been. One that comes late changes nothing:
        whoever tells it, an event only says "look". False when the look that the same event asked
        for failed lately."""
        event = Event(
            id=self.clock.new_id(),
            identity=digest(["sweep", repo.hub_id, MAIN, seen, head]),
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
            told = tx.event_by_identity(event.identity) is not None
            if told and self._failed_lately(tx, repo.hub_id):
                return False
            step = tx.add_step(plan_step(self.clock, repo.hub_id))
            tx.add_event(event)
        self.queue.wake(step)
        return True

    def _failed_lately(self, view: View, hub_id: str) -> bool:
        last = last_end(view, plan_step(self.clock, hub_id))
        if last is None or not (last.outcome or "").startswith(FAILED):
            return False
        return self._past(last.ended_at or 0.0) > self.clock.now() - GONE_AGAIN

    def _look_closer(self) -> int:
        with self.ledger.view() as view:
            stale = self._stale(view)
        for hub_id in stale:
            with self.ledger.transaction() as tx:
                step = tx.add_step(plan_step(self.clock, hub_id))
            self.queue.wake(step)
        return len(stale)

    def _stale(self, view: View) -> Sequence[str]:
        """Repos with something that a list of heads does not show, not looked at for long and
        with no look to come; those that wait longest first."""
        planned = {s.subject for s in view.open_steps() if s.kind is StepKind.PLAN}
        staged = {h.hub_id for h in view.stage_heads()}
        now = self.clock.now()
        stale = []
        for known in view.known_repos():
            wait = GONE_AGAIN if known.gone_because else STALE
            seen_at = self._past(known.seen_at)
            if seen_at > now - wait or known.repo.hub_id in planned:
                continue
            pipelines = match(self.rules.pipelines, known.repo.type, known.repo.name)
            beside = known.repo.hub_id in staged or any(p.match.ref != MAIN for p in pipelines)
            shown = not (beside or known.gone_because or _unlisted(known.repo, self.rules))
            if pipelines and not shown and not self._failed_lately(view, known.repo.hub_id):
                stale.append((seen_at, known.repo.hub_id))
        return [hub_id for _, hub_id in sorted(stale)[:LOOKS]]

    def _past(self, time: float) -> float:
        """The time; that of what lies in the future: never."""
        return time if time <= self.clock.now() + AHEAD else 0.0


def owners(rules: Rules) -> Sequence[Owner]:
    """The owners whose repos pipelines cover, without those written with wildcards."""
    found: dict[Owner, None] = {}
    for pipeline in rules.pipelines:
        owner, slash, _ = pipeline.match.repo.partition("/")
        if slash and owner and not _GLOB & set(owner):
            found[(pipeline.match.type, owner)] = None
    return tuple(found)


def _from(all: Sequence[Owner], first: Owner | None) -> Sequence[Owner]:
    at = all.index(first) if first in all else 0
    return (*all[at:], *all[:at])


def _unlisted(repo: Repo, rules: Rules) -> bool:
    return (repo.type, repo.name.partition("/")[0]) not in owners(rules)
