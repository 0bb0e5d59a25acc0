"""Lets a storm loose on a deployment, and waits until all is calm. Judges nothing."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, WebhookWatchedItem
from tests.chaos.apart import Apart
from tests.chaos.deployment import PARTS, SECRET, Deployment
from tests.chaos.diary import Diary
from tests.chaos.hands import Hands
from tests.chaos.hub_record import HubRecord
from tests.chaos.person import TAGS
from tests.chaos.pulse import Pulse
from tests.chaos.schedule import schedule
from tests.chaos.world import World

from proctor.clock import SystemClock
from proctor.core.errors import LedgerUnavailable
from proctor.core.event import Disposition
from proctor.core.names import Revision
from proctor.core.run import RunStatus
from proctor.ledger import SqlLedger
from proctor.localhub import LocalHub

KILLS = 3
"""What is killed at least. On a slow machine the storm may come to it while nobody is there."""

CALM_WITHIN = 400.0
"""Seconds within which a storm has to be over and done with."""


class Storm:
    """One storm over one deployment: `begin`, `rage`, `calm`, `settle`, `end`."""

    def __init__(
        self, seed: int, folder: Path, hub: LocalHub, world: World, kind: type[Deployment] = Apart
    ) -> None:
        self.seed, self.folder, self.hub = seed, folder, hub
        self.diary = Diary()
        hub.create_org("acme")
        self.secrets = (hub.create_user("robot", orgs=["acme"]), SECRET)
        self.deployment = kind(folder, hub, self.secrets[0], world.database, world.broker)
        api = HfApi(endpoint=hub.url, token=hub.create_user("ana", orgs=["acme"]))
        self.hands = Hands(hub, api, world, self.deployment, self.diary)
        self._chance = random.Random(seed)
        self._ledger = SqlLedger(world.database, SystemClock())
        self.webhook = self.witness = ""
        self._pulse = Pulse(self.diary)

    def begin(self, witness_url: str) -> None:
        """Start the deployment; make the webhooks, and the repos with a first push in every stage:
        who moves tags needs some."""
        self.deployment.begin()
        api = self.hands.api
        watched: list[dict[Any, Any] | WebhookWatchedItem] = [{"type": "org", "name": "acme"}]
        # Told the same as Proctor, and never switched off.
        self.witness = api.create_webhook(url=witness_url, watched=watched, domains=["repo"]).id
        self.webhook = api.create_webhook(
            url=self.hands.post.url, watched=watched, domains=["repo"], secret=SECRET
        ).id
        self.hands.webhook = self.webhook
        for repo in self.hands.pushed:
            api.create_repo(repo)
            self.hands.push(repo, 0.9)
        until = time.monotonic() + CALM_WITHIN
        while not all(self._in_every_stage(repo) for repo in self.hands.pushed):
            assert time.monotonic() < until, f"no first promotion; see {self.folder}/*.log"
            self.hands.tick()

    def rage(self, seconds: float, pace: float) -> None:
        """The storm itself: `pace` is the mean time between two acts, in seconds."""
        began = time.monotonic()
        for act in schedule(self.seed, seconds, pace, self.deployment.weights):
            while time.monotonic() < began + act.at:
                self.hands.tick()
            self.hands.do(act)
            self.hands.tick()

    def calm(self) -> None:
        """End all trouble, kill what chance did not find, take one push back, and push once more to
        each repo, half of them unheard."""
        self.hands.let_go()
        for name in PARTS:
            self.hands.kill_in_calm(name)
            if self.diary.kills >= KILLS:
                break
        self.hands.take_back_in_calm(self._overtaken)
        for repo in self.hands.pushed:
            if self._chance.random() < 0.5:
                self.hands.api.disable_webhook(self.webhook)
            self.hands.push(repo, 0.9 if self._chance.random() < 0.75 else 0.2)
            self.hands.api.enable_webhook(self.webhook)

    def settle(self) -> str:
        """Wait until nothing is left to do; what still is when the time is up ("" is good)."""
        until, left = time.monotonic() + CALM_WITHIN, "not looked"
        while time.monotonic() < until:
            self.hands.tick()
            try:
                left, only_held = self._left()
            except LedgerUnavailable as error:
                left, only_held = str(error), False
            if only_held:  # by now it is plain whether a run waits: then it goes on
                self.hands.person.settle_holds(restore=True)
            elif not left:
                return ""
            time.sleep(0.2)
        return left

    def end(self) -> list[str]:
        """Stop the deployment; the parts that did not stop when told to ([] is good)."""
        self._pulse.stop()
        self._ledger.close()
        self.hands.post.close()
        self.diary.done["deliveries turned round"] += self.hands.post.turned
        return self.deployment.end()

    def _overtaken(self, revision: str) -> bool:
        with self._ledger.view() as view:
            runs = view.runs(revision=Revision(revision))
        return any(run.status is RunStatus.SUPERSEDED for run in runs)

    def _in_every_stage(self, repo: str) -> bool:
        refs = HubRecord(self.hub.root).refs(repo)
        return all(refs.get(f"refs/tags/{tag}") == refs["refs/heads/main"] for tag in TAGS)

    def _left(self) -> tuple[str, bool]:
        """What is left to do, and whether all of that waits for a person."""
        heads = {pushed[-1] for pushed in self.hands.pushed.values()}
        with self._ledger.view() as view:
            left = [f"{s.kind} step {s.state} ({s.error})" for s in view.open_steps()]
            runs = view.runs(open_only=True)
            pending = view.events(disposition=Disposition.PENDING)
            unseen = [sha for sha in sorted(heads) if not view.runs(revision=Revision(sha))]
            holds = view.holds()
        left += [f"event {e.id} pending" for e in pending] + [f"{sha} unseen" for sha in unseen]
        left += [f"run {r.id} {r.status}" for r in runs if r.status is not RunStatus.WAITING]
        left += [f"{name} does not run" for name in self.deployment.missing()]
        busy = bool(left)
        left += [f"run {r.id} waits: {r.reason}" for r in runs if r.status is RunStatus.WAITING]
        left += [f"hold: {h.reason}" for h in holds]
        if not left and not self.hub.wait_delivered(0.1):
            left.append("deliveries on their way")
        return "; ".join(left), bool(holds) and not busy
