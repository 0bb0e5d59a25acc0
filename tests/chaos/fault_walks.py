"""Walks over the Local Hub, each with one call that goes wrong; and how such a walk has to end.

The worker is in this process; ledger, Hub and its client are real, time is not.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from huggingface_hub import CommitOperationAdd, HfApi
from tests.chaos.conftest import Trap, fault, trapped
from tests.chaos.hub_record import HubRecord
from tests.chaos.rows import rows
from tests.chaos.servers import OnServers
from tests.flow.conftest import Mail, Walkthrough

from proctor.core.names import Revision
from proctor.core.promotion import PromotionStatus
from proctor.core.run import Run, RunStatus, Step, StepKind
from proctor.flow.attempt import Doing
from proctor.flow.reconcile import GONE_AGAIN, Reconcile
from proctor.hub import HuggingFaceHub, Patience
from proctor.localhub import LocalHub, Rule
from proctor.ports.check import Room, Subject
from proctor.ports.ledger import Claim

IMPATIENT = Patience(connect=1, read=0.15, answer=2, attempts=2, backoff=0.01, longest_wait=0.02)
PATIENT = Patience(connect=30, read=30, answer=60, brisk=60, fresh=60)
"""For the walk that is counted: no call of it is to be made twice on a slow machine."""

ENDS = {
    StepKind.SYNC: RunStatus.FAILED,
    StepKind.CHECK: RunStatus.HELD,  # what could not be measured is inconclusive
    StepKind.PROMOTE: RunStatus.FAILED,
}
"""How a run ends, if it may, when a call of such a step was refused for good."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call to the Hub, and the step that made it (None: the sweep)."""

    step: StepKind | None
    method: str
    target: str

    @property
    def writes(self) -> bool:
        """Whether it is to change something."""
        return self.method in ("POST", "DELETE")


class Bench:
    """A Local Hub with one user, and walks that talk to it."""

    def __init__(
        self, folder: Path, hub: LocalHub, witness_url: str, servers: OnServers | None = None
    ) -> None:
        self.folder, self.hub, self.record = folder, hub, HubRecord(hub.root)
        self.servers = servers
        hub.create_org("acme")
        self._token = hub.create_user("robot", orgs=["acme"])
        self.api = HfApi(endpoint=hub.url, token=self._token)
        self.witness = self.api.create_webhook(
            url=witness_url, watched=[{"type": "org", "name": "acme"}], domains=["repo"]
        ).id
        self._repos, self._patience = 0, IMPATIENT
        self._step: StepKind | None = None
        self._calls: list[Call] = []

    def _wanted(self, method: str, target: str) -> bool:
        """All calls but those of the pushes."""
        if "/commit/" in target or "/preupload/" in target:
            return False
        self._calls.append(Call(self._step, method, target))
        return True

    @cached_property
    def calls(self) -> Sequence[Call]:
        """What the second push asks of the Hub where nothing goes wrong."""
        self._patience = PATIENT
        try:
            self.walk(self._harmless(), may_end=lambda call: False)
        finally:
            self._patience = IMPATIENT
        return self._calls

    def walk(self, trap: Trap, may_end: Callable[[Call], bool]) -> None:
        """A good push in a fresh repo, and another one while the trap is set. Then all is as it
        should be; or, where `may_end` says of the call in the trap that it may cost the run, that
        one ended with a reason and with nothing half done, and all is well with a third push."""
        self._repos += 1
        repo = f"acme/fault-{self._repos}"
        one = _Walk(self, repo)
        try:
            one.push(self._harmless())
            run = one.push(trap)
            lost = run.status is not RunStatus.PROMOTED
            if lost:
                assert trap.sprung.is_set() and may_end(self._calls[trap.nth - 1]), run
                one.ended_clearly(run, ENDS[self._calls[trap.nth - 1].step or StepKind.PLAN])
                run = one.push(self._harmless())
            one.ended_right(run, seen=not (trap.rule.fault == "404" or lost))
        finally:
            one.walk.close()
            self.api.delete_repo(repo)  # else the next walk's sweep finds its pushes

    def trap(self, nth: int, rule: Rule) -> Trap:
        """Strikes the nth call of the second push."""
        return Trap(self._wanted, nth, rule)

    def _harmless(self) -> Trap:
        return self.trap(0, fault("500"))

    def begin(self) -> None:
        """Count calls from here."""
        self._calls, self._step = [], None

    def working(self, walk: Walkthrough) -> Callable[[], int]:
        """Does what the queue of the walk asks for, and notes which step makes a call."""
        worker = walk.worker_named("w1", hub=self.client())

        def note(kind: StepKind | None) -> None:
            self._step = kind

        steps: dict[StepKind, Doing] = {
            kind: _Noted(doing, kind, note) for kind, doing in worker.steps.items()
        }
        worker = replace(worker, steps=steps)
        return lambda: walk.drain(worker)

    def client(self) -> HuggingFaceHub:
        """The Hub as Proctor sees it."""
        return HuggingFaceHub(self.hub.url, self._token, self._patience)

    def spilled(self, walk: Walkthrough) -> bool:
        """Whether the token is anywhere on record."""
        return any(self._token.encode() in row for row in rows(walk.ledger.url))


@dataclass(frozen=True, slots=True)
class _Noted:
    doing: Doing
    kind: StepKind
    note: Callable[[StepKind | None], None]

    def do(self, claim: Claim, lost: Callable[[], bool]) -> Sequence[Step]:
        self.note(self.kind)
        try:
            return self.doing.do(claim, lost)
        finally:
            self.note(None)

    def give_up(self, claim: Claim, reason: str) -> Sequence[Step]:
        return self.doing.give_up(claim, reason)


class _Walk:
    """The life of one repo."""

    def __init__(self, bench: Bench, repo: str) -> None:
        self.bench, self.repo = bench, repo
        folder = bench.folder / repo.replace("/", "-")
        servers = bench.servers
        self.walk = (
            Walkthrough(folder, ledger=servers.ledger, queue=servers.queue)
            if servers
            else Walkthrough(folder)
        )
        walk = self.walk
        walk.checks["full"].during = _download
        self._work = bench.working(walk)
        self._reconcile = Reconcile(walk.ledger, bench.client(), walk.queue, walk.clock, walk.rules)
        bench.api.create_repo(repo)
        self.shas: list[Revision] = []
        self._told = 0

    def push(self, trap: Trap) -> Run:
        """A person pushes while the trap is set; its run, when nothing is left to do."""
        n = len(self.shas) + 1
        commit = self.bench.api.create_commit(
            self.repo,
            [CommitOperationAdd("score.txt", str(n).encode())],
            commit_message=f"push {n}",
        )
        self.shas.append(Revision(commit.oid))
        self.walk.finds(self.shas[-1], 0.9)
        self.bench.begin()
        with trapped(self.bench.hub, trap):
            for _ in range(100):
                if not self._go_on():
                    break
        assert self.walk.open_steps() == ()
        (run,) = self.walk.runs(self.shas[-1])
        return run

    def _go_on(self) -> bool:
        """Let what can happen now happen, or else time pass; False when nothing is left to do."""
        walk = self.walk
        self._hear()
        if walk.deliver_all() + self._work():
            return True
        if waiting := walk.open_steps():
            time.sleep(0.02)  # the Hub may have asked for a second of the machine's time
            walk.clock.advance(max(15.0, min(s.due_at for s in waiting) - walk.clock.now()))
            walk.sweep.once()
            return True
        if not walk.runs(self.shas[-1]):
            walk.clock.advance(GONE_AGAIN)  # within that the sweep looks again
        drift = self._reconcile.once()
        return bool(drift.missed or drift.looks)

    def _hear(self) -> None:
        """Put what the Hub has told since on its way."""
        told = self.bench.hub.deliveries(self.bench.witness)
        sent = [d for d in reversed(told) if d["payload"]["repo"]["name"] == self.repo]
        self.walk.mail += [Mail(d["id"], d["payload"]) for d in sent[self._told :]]
        self._told = len(sent)

    def ended_right(self, run: Run, *, seen: bool) -> None:
        """The newest push is promoted, and no tag was touched more often than it has to be. Where
        every look succeeded (`seen`), each of our moves was seen to come back."""
        walk, refs = self.walk, self.bench.record.refs(self.repo)
        last = self.shas[-1]
        assert run.status is RunStatus.PROMOTED, run
        assert refs["refs/tags/staging"] == refs["refs/tags/prod"] == last
        assert {self.shas[0], last} <= {sha for ref, sha in refs.items() if "/prod-" in ref}
        self._in_order()
        with walk.ledger.view() as view:
            assert not view.holds()
            done = [p for p in view.promotions() if p.status is PromotionStatus.DONE]
            (known,) = view.repos_named(self.repo)
            unmatched = view.unmatched_operations(known.repo.hub_id)
        moved = self.bench.record.moves(self.bench.witness)
        tags = [m for m in moved if m.repo == self.repo and m.ref.startswith("refs/tags/")]
        releases = [m for m in tags if "/prod-" in m.ref]
        assert all(m.old is None for m in releases), releases
        # A stage takes two moves, but one at first.
        assert len(tags) - len(releases) == 2 * len(done) - 2, tags
        if seen:
            assert (len(done), len(releases)) == (4, 2)
            assert not unmatched
            assert walk.dispositions().count("echo") == 8

    def ended_clearly(self, run: Run, status: RunStatus) -> None:
        """It says why it ended; each stage is where a promotion that was done put it."""
        refs = self.bench.record.refs(self.repo)
        assert run.status is status and run.reason, run
        with self.walk.ledger.view() as view:
            ended = view.promotions(run_id=run.id)
        reached = {p.stage for p in ended if p.status is PromotionStatus.DONE}
        assert all(p.status.ended for p in ended) and "prod" not in reached, ended
        for stage in ("staging", "prod"):
            assert refs[f"refs/tags/{stage}"] == self.shas[stage in reached], (stage, run)
        self._in_order()

    def _in_order(self) -> None:
        """Every event has its end, no try its worker's death, and the token is nowhere."""
        assert "pending" not in self.walk.dispositions()
        with self.walk.ledger.view() as view:
            (known,) = view.repos_named(self.repo)
            hub_id = known.repo.hub_id
            tries = [*view.attempts(StepKind.PLAN, hub_id)]
            for sha in self.shas:
                tries += view.attempts(StepKind.SYNC, f"{hub_id}@{sha}")
            for run in view.runs():
                for check in view.checks(run.id):
                    tries += view.attempts(StepKind.CHECK, check.id)
            for promotion in view.promotions():
                tries += view.attempts(StepKind.PROMOTE, promotion.id)
        for each in tries:
            assert each.outcome is not None and "worker died" not in each.outcome, each
        assert not self.bench.spilled(self.walk)


def _download(subject: Subject, room: Room) -> None:
    assert (room.snapshot() / "score.txt").is_file()
