"""The whole walk on one bench: real steps and ledger, the shipped fakes for the world."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

from proctor.checks.unchanged import Unchanged
from proctor.core.evidence import Findings, Json, Metric
from proctor.core.gate import AtLeast
from proctor.core.names import Repo, RepoType, Revision
from proctor.core.rule import CheckSpec, Match, Pipeline, Rules, Stage
from proctor.core.run import Run, RunCheck, Step, StepKind
from proctor.flow import views
from proctor.flow.accept import Arrival, accept
from proctor.flow.announce import Announce
from proctor.flow.ask import Ask
from proctor.flow.attempt import Doing, Worker
from proctor.flow.check import Check, Folders
from proctor.flow.judge import Judge
from proctor.flow.plan import Plan
from proctor.flow.promote import Promote
from proctor.flow.reconcile import Reconcile
from proctor.flow.runs import plan_step
from proctor.flow.sweep import Sweep
from proctor.flow.sync import Sync
from proctor.flow.trouble import RefusedToken, Trouble
from proctor.hub.shelf import DiskShelf
from proctor.ledger import SqlLedger, open_ledger
from proctor.ports.check import Check as MeasuredBy
from proctor.ports.clock import Clock
from proctor.ports.hub import Hub
from proctor.ports.ledger import Ledger
from proctor.ports.notifier import Notifier
from proctor.testing import FakeCheck, FakeClock, FakeHub, FakeNotifier, FakeQueue

LEASE = 60.0

CHAT = Pipeline(
    name="chat",
    match=Match("acme/*"),
    checks=(
        CheckSpec("card", "card"),
        CheckSpec("smoke", "smoke", {"limit": 5}),
        CheckSpec("full", "full", needs=("smoke",)),
    ),
    gate=(AtLeast("full/acc", 0.8), AtLeast("card/complete", 1)),
    promote=("staging", "prod"),
    notify=("team",),
)
RULES = Rules((Stage("staging"), Stage("prod", after="staging")), (CHAT,))


@dataclass(frozen=True, slots=True)
class Mail:
    """A webhook on its way."""

    webhook_id: str
    body: Mapping[str, Json]


class Killed(BaseException):
    """The process died here."""


def _private(clock: Clock) -> SqlLedger:
    return open_ledger("sqlite://", clock)


class Walkthrough:
    """One Proctor and its world. Nothing happens by itself: `settle` lets all of it go on until
    nothing is left to do; `push` and the acts of `hub` are what people do."""

    def __init__(
        self,
        folder: Path,
        rules: Rules = RULES,
        *,
        name: str = "acme/bot",
        ledger: Callable[[Clock], SqlLedger] = _private,
        queue: FakeQueue | None = None,
    ) -> None:
        self.folder = folder
        self.rules = rules
        self.clock = FakeClock()
        self.hub = FakeHub(clock=self.clock, on_change=self._hear)
        self.queue = queue or FakeQueue()
        self.shelf = DiskShelf(folder / "snapshots", self.clock, room=10**6)
        self.ledger = ledger(self.clock)
        self.checks = {
            "card": FakeCheck(otherwise=Findings((Metric("complete", 1),))),
            "smoke": FakeCheck(otherwise=Findings((Metric("acc", 1),))),
            "full": FakeCheck(queue="eval"),
        }
        self.channels = {"team": FakeNotifier(), "log": FakeNotifier(), "other": FakeNotifier()}
        self.mail: list[Mail] = []
        self.sent: list[Mail] = []
        self.stop = threading.Event()
        self.worker = self.worker_named("w1")
        self.sweep = Sweep(self.ledger, self.queue, self.clock)
        self.reconcile = Reconcile(self.ledger, self.hub, self.queue, self.clock, self.rules)
        self.ask = Ask(self.ledger, self.clock, self.rules)
        self._pushed = 0
        self.repo = self.hub.create_repo(RepoType.MODEL, name)
        self.mail.clear()  # the repo was there before us

    def worker_named(
        self,
        name: str,
        *,
        ledger: Ledger | None = None,
        hub: Hub | None = None,
        send: Callable[[str], Notifier] | None = None,
    ) -> Worker:
        """Another worker, optionally with its own way to the ledger, the Hub and the channels."""
        ledger, hub = ledger or self.ledger, hub or self.hub
        clock, rules = self.clock, self.rules
        folders = Folders(self.folder / "work", self.folder / "artifacts", self.folder)
        steps: dict[StepKind, Doing] = {
            StepKind.PLAN: Plan(ledger, hub, clock, rules, _link),
            StepKind.SYNC: Sync(ledger, hub, clock, rules, self._queue_of, _link),
            StepKind.CHECK: Check(
                ledger, hub, clock, self._build, self._queue_of, folders, self.shelf
            ),
            StepKind.JUDGE: Judge(ledger, clock, rules, _link),
            StepKind.PROMOTE: Promote(ledger, hub, clock, rules, _link),
            StepKind.ANNOUNCE: Announce(ledger, clock, send or self.channels.__getitem__),
        }
        return Worker(
            name=name,
            ledger=ledger,
            queue=self.queue,
            clock=clock,
            steps=steps,
            redact=lambda text: text.replace("hf_secret", "***"),
            paused=Trouble(clock, rules, _link).paused,
            refused=RefusedToken(ledger, clock, rules).tell,
            stop=self.stop,
            lease=LEASE,
        )

    def configure(self, rules: Rules) -> None:
        """Restart with another configuration."""
        self.rules = rules
        self.worker = self.worker_named("w1")
        self.ask = Ask(self.ledger, self.clock, rules)
        self.reconcile = Reconcile(self.ledger, self.hub, self.queue, self.clock, rules)

    # What people do

    def push(self, acc: float | Exception = 0.9, repo: Repo | None = None) -> Revision:
        """Commit new weights to main, and say what the full check will find there."""
        self._pushed += 1
        weights = f"weights {self._pushed}".encode()
        revision = self.hub.commit(repo or self.repo, {"model.safetensors": weights})
        self.finds(revision, acc)
        return revision

    def finds(self, revision: Revision, acc: float | Exception) -> None:
        """Change what the full check finds in a revision."""
        found = acc if isinstance(acc, Exception) else Findings((Metric("acc", acc),))
        self.checks["full"].findings[revision] = found

    def pushed_and_settled(self, acc: float | Exception = 0.9) -> Revision:
        """Push, and wait until nothing is left to do."""
        revision = self.push(acc)
        self.settle()
        return revision

    def _hear(self, body: Mapping[str, Json]) -> None:
        mail = Mail(f"msg_{len(self.sent)}", json.loads(json.dumps(body)))
        self.sent.append(mail)
        self.mail.append(mail)

    # What arrives

    def deliver(self, mail: Mail) -> Step | None:
        """Let one webhook arrive."""
        body = json.dumps(mail.body).encode()
        arrival = Arrival(mail.webhook_id, (), body, self.clock.now())
        accepted = accept(self.ledger, self.clock, arrival)
        if accepted.step is not None:
            self.queue.wake(accepted.step)
        return accepted.step

    def deliver_all(self) -> int:
        """Let all that is on its way arrive; returns how much that was."""
        mail, self.mail = self.mail, []
        for each in mail:
            self.deliver(each)
        return len(mail)

    def look(self, repo: Repo | None = None) -> None:
        """Ask for a look although no webhook came."""
        with self.ledger.transaction() as tx:
            step = tx.add_step(plan_step(self.clock, (repo or self.repo).hub_id))
        self.queue.wake(step)

    # What Proctor does

    def drain(self, worker: Worker | None = None, shuffle: random.Random | None = None) -> int:
        """Do what the queue asks for, and what follows from it; returns how many steps."""
        done = 0
        while taken := list(self.queue.take()):
            if shuffle is not None:
                shuffle.shuffle(taken)
            for step in taken:
                done += (worker or self.worker).perform(step.id)
        return done

    def settle(
        self,
        worker: Worker | None = None,
        shuffle: random.Random | None = None,
        rounds: int = 200,
        pace: float = 15.0,
    ) -> None:
        """Go on until nothing is left to do, with time passing, `pace` seconds at a time, and the
        sweep."""
        for _ in range(rounds):
            busy = self.deliver_all() + self.drain(worker, shuffle)
            if not busy and not self.open_steps():
                return
            if not busy:
                self.clock.advance(pace)
                self.sweep.once()
        raise AssertionError(f"does not settle: {self.open_steps()}")

    def until(self, kind: StepKind) -> Step:
        """Go on until a step of this kind is the next; returns it, not yet done."""
        for _ in range(50):
            self.deliver_all()
            waiting = list(self.queue.take())
            while waiting:
                step = waiting.pop(0)
                if step.kind is kind:
                    for other in waiting:
                        self.queue.wake(other)
                    return step
                self.worker.perform(step.id)
        raise AssertionError(f"no {kind} step came")

    # What is on record

    def open_steps(self) -> Sequence[Step]:
        """Steps that are ready or running."""
        with self.ledger.view() as view:
            return view.open_steps()

    def runs(self, revision: Revision | None = None) -> list[Run]:
        """Newest first."""
        with self.ledger.view() as view:
            return list(view.runs(revision=revision))

    def run(self, revision: Revision) -> Run:
        """The only run of the revision."""
        (run,) = self.runs(revision)
        return run

    def tags(self, repo: Repo | None = None) -> dict[str, Revision]:
        """The tags on the Hub now."""
        refs = self.hub.refs(repo or self.repo)
        return {
            ref.removeprefix("refs/tags/"): sha
            for ref, sha in refs.items()
            if ref.startswith("refs/tags/")
        }

    def told(self, channel: str = "team") -> list[str]:
        """The kinds of the notices sent, in order."""
        return [notice.kind for notice in self.channels[channel].sent]

    def why(self, revision: Revision | None = None) -> dict[str, Json]:
        """The view, having been through JSON."""
        with self.ledger.view() as view:
            found = views.why(view, self.repo.name, revision)
            assert views.status(view, self.rules, self.clock.now())
            assert views.runs(view, self.repo.name, 10) is not None
            assert views.promotions(view, self.repo.name) is not None
            json.dumps(views.status(view, self.rules, self.clock.now()), allow_nan=False)
            json.dumps(views.runs(view, None, 10), allow_nan=False)
            json.dumps(list(views.promotions(view, self.repo.name)), allow_nan=False)
        parsed: dict[str, Json] = json.loads(json.dumps(found, allow_nan=False))
        return parsed

    def dispositions(self) -> list[str]:
        """Of all events, oldest first."""
        with self.ledger.view() as view:
            return [e.disposition.value for e in reversed(view.events(limit=1000))]

    def close(self) -> None:
        """Let go of the database."""
        self.ledger.close()

    def _build(self, check: RunCheck) -> MeasuredBy:
        made = self.checks[check.use]
        return Unchanged(made, check.content) if check.content else made

    def _queue_of(self, check: RunCheck) -> str:
        return self.checks[check.use].queue


class MakeWalk(Protocol):
    """Makes walkthroughs that are closed at the end of the test."""

    def __call__(self, rules: Rules = RULES, *, name: str = "acme/bot") -> Walkthrough: ...


def _link(type: RepoType, repo: str, revision: Revision | None) -> str:
    return f"https://hub.example/{repo}/commit/{revision}" if revision else ""


@pytest.fixture
def make_walk(tmp_path: Path) -> Iterator[MakeWalk]:
    made: list[Walkthrough] = []

    def make(rules: Rules = RULES, *, name: str = "acme/bot") -> Walkthrough:
        walk = Walkthrough(tmp_path / str(len(made)), rules, name=name)
        made.append(walk)
        return walk

    yield make
    for walk in made:
        walk.close()


@pytest.fixture
def walk(make_walk: MakeWalk) -> Walkthrough:
    """One repo, one pipeline (chat: card, smoke, full), two stages."""
    return make_walk()


@pytest.fixture
def chat() -> Pipeline:
    """The pipeline of `walk`."""
    return CHAT


@pytest.fixture
def rules() -> Rules:
    """The rules of `walk`."""
    return RULES
