"""The acts of a storm: what is done to a deployment, and how it ends by itself."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress

import httpx2
import psutil
from huggingface_hub import CommitOperationAdd, HfApi
from tests.chaos.deployment import Deployment
from tests.chaos.diary import ByHand, Diary, Frozen
from tests.chaos.hub_record import HubRecord
from tests.chaos.schedule import Act
from tests.chaos.world import World

from proctor.localhub import FAULTS, LocalHub

REPOS = ("acme/red", "acme/green", "acme/blue")

ROUTES = ("/refs", "/tag/", "/revision/", "/commits/", "/resolve/", "expand=private", "author=")
"""What Proctor asks of the Hub. Pushes, and the person's own moves, go other ways."""

THAW_AFTER = 7.0  # seconds: more than the lease


class Hands:
    """Does acts. What has to end later is ended by `tick`, or at once by `let_go`."""

    def __init__(
        self, hub: LocalHub, api: HfApi, world: World, deployment: Deployment, diary: Diary
    ) -> None:
        self.hub, self.api, self.world = hub, api, world
        self.deployment, self.diary = deployment, diary
        self.webhook = ""
        self.pushed: dict[str, list[str]] = {repo: [] for repo in REPOS}
        self._record = HubRecord(hub.root)
        self._later: list[tuple[float, Callable[[], None]]] = []
        self._acts: dict[str, Callable[[random.Random], bool]] = {
            "push": self._push_some,
            "freeze worker": self._freeze_worker,
            "freeze web": lambda chance: self._freeze("web", chance.uniform(1, 4)),
            "flush broker": self._flush,
            "cut broker": self._cut,
            "mute broker": self._mute,
            "trouble database": self._database,
            "fault": self._fault,
            "lose deliveries": self._lose,
            "replay": self._replay,
            "move tag by hand": self._by_hand,
            "settle a hold": lambda chance: self.settle_holds(restore=chance.random() < 0.5),
        }

    def do(self, act: Act) -> None:
        """Do it; what cannot be done now (nobody there to kill) is noted as such."""
        chance = random.Random(act.chance)
        kind, _, name = act.what.partition(" ")
        done = self._kill(name, chance) if kind == "kill" else self._acts[act.what](chance)
        self.diary.done[act.what if done else f"(no chance to) {act.what}"] += 1

    def tick(self) -> None:
        """End what is over, and start again what died."""
        now = time.monotonic()
        for each in [each for each in self._later if each[0] <= now]:
            self._later.remove(each)
            each[1]()
        self.diary.unasked += self.deployment.keep()
        time.sleep(0.05)

    def let_go(self) -> None:
        """End all trouble now."""
        later, self._later = self._later, []
        for _, end in later:
            end()
        self.hub.faults.clear()
        self.world.mend_broker()
        self.world.mend_database()

    def push(self, repo: str, score: float) -> None:
        """A person pushes a revision that will score so."""
        files = {"score.txt": str(score), "when.txt": f"pushed at {time.time_ns()}"}
        commit = self.api.create_commit(
            repo,
            [CommitOperationAdd(path, text.encode()) for path, text in files.items()],
            commit_message=f"score {score}",
        )
        self.diary.scores[commit.oid] = score
        self.pushed[repo].append(commit.oid)

    def settle_holds(self, *, restore: bool) -> bool:
        """A person settles every hold with the command; whether there was one."""
        held = self.deployment.command("status", "--json")
        if held is None:
            return False
        for hold in json.loads(held)["holds"]:
            settle = ("release", hold["repo"], hold["stage"], "--by", "ana")
            if not restore or self.deployment.command(*settle, "--restore") is None:
                self.deployment.command(*settle, "--accept")  # never set by us, say
            return True
        return False

    def _kill(self, name: str, chance: random.Random) -> bool:
        if name in ("web", "io", "sweep"):
            return self.deployment.kill(name)
        if name == "eval":
            return self.deployment.kill(chance.choice(["eval-1", "eval-2"]))
        find = self.deployment.sittings if name == "sitting" else self.deployment.supervisors
        until = time.monotonic() + 2.0
        while not (found := find()):
            if time.monotonic() > until:
                return False
            self.tick()
        victim = chance.choice(found)
        with suppress(psutil.Error):
            asker = victim.ppid()
            if name == "eval and supervisor":
                for part in ("eval-1", "eval-2"):
                    if self.deployment.parts[part].child.pid == asker:
                        self.deployment.kill(part)
            victim.kill()
            return True
        return False

    def _push_some(self, chance: random.Random) -> bool:
        self.push(chance.choice(REPOS), chance.choice([0.9, 0.8, 0.7, 0.2]))
        return True

    def _freeze_worker(self, chance: random.Random) -> bool:
        return self._freeze(chance.choice(["io", "eval-1", "eval-2"]), THAW_AFTER)

    def _freeze(self, name: str, seconds: float) -> bool:
        child, since = self.deployment.parts[name].child, time.time()
        if child.poll() is not None:
            return False
        child.send_signal(signal.SIGSTOP)

        def thaw() -> None:
            with suppress(ProcessLookupError):  # it was killed meanwhile
                os.kill(child.pid, signal.SIGCONT)
            self.diary.frozen.append(Frozen(child.pid, since, time.time()))

        self._in(seconds, thaw)
        return True

    def _flush(self, chance: random.Random) -> bool:
        self.world.flush_broker()
        return True

    def _cut(self, chance: random.Random) -> bool:
        self.world.cut_broker()
        self._in(chance.uniform(0.5, 4), self.world.mend_broker)
        return True

    def _mute(self, chance: random.Random) -> bool:
        self.world.mute_broker()
        self._in(chance.uniform(0.5, 5), self.world.mend_broker)
        return True

    def _database(self, chance: random.Random) -> bool:
        self.world.trouble_database()
        self._in(3.0, self.world.mend_database)
        return True

    def _fault(self, chance: random.Random) -> bool:
        fault, route = chance.choice(FAULTS), chance.choice(ROUTES)
        wait = 1 if fault == "429" else None
        times = chance.randint(1, 4)
        self.hub.faults.add(route, fault, times=times, retry_after_s=wait, hang_s=3.0)
        return True

    def _lose(self, chance: random.Random) -> bool:
        self.api.disable_webhook(self.webhook)
        self._in(chance.uniform(1, 4), self._hear_again)
        return True

    def _hear_again(self) -> None:
        self.api.enable_webhook(self.webhook)

    def _replay(self, chance: random.Random) -> bool:
        sent = self.hub.deliveries(self.webhook)
        for delivery in chance.sample(sent, min(len(sent), chance.randint(1, 3))):
            self.hub.replay(self.webhook, delivery["id"])
        return bool(sent)

    def _by_hand(self, chance: random.Random) -> bool:
        repo, tag = chance.choice(REPOS), chance.choice(["staging", "prod"])
        since, now = time.time(), self._record.refs(repo).get(f"refs/tags/{tag}")
        others = [sha for sha in self.pushed[repo] if sha != now]
        if now is None or not others:
            return False
        revision = chance.choice(others)
        self._force(repo, f"refs/tags/{tag}", revision)
        self.diary.by_hand.append(ByHand(repo, tag, revision, since, time.time()))
        return True

    def _force(self, repo: str, ref: str, revision: str) -> None:
        """What `git push --force` does: old to new, in one."""
        address = f"{self.hub.url}/_push/models/{repo}"
        httpx2.post(address, json={"refs": {ref: revision}}, timeout=30).raise_for_status()

    def _in(self, seconds: float, end: Callable[[], None]) -> None:
        self._later.append((time.monotonic() + seconds, end))
