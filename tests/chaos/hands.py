"""The acts of a storm: what is done to a deployment, and how it ends by itself."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import psutil
from huggingface_hub import CommitOperationAdd, HfApi
from tests.chaos.deployment import EVALS, PARTS, Deployment
from tests.chaos.diary import Diary, Frozen
from tests.chaos.person import Person
from tests.chaos.post_office import How, PostOffice
from tests.chaos.schedule import Act
from tests.chaos.world import World

from proctor.localhub import LocalHub

REPOS = ("acme/red", "acme/green", "acme/blue")
QUIET = "acme/gold"
"""Where nobody pushes by chance: for acts that take a while."""

ROUTES = ("/refs", "/tag/", "/revision/", "/commits/", "/resolve/", "expand=private", "author=")
"""What Proctor asks of the Hub. Pushes, and the person's own moves, go other ways."""

FAULTS = ("429", "500", "503", "hang", "reset", "lost_answer", "truncate")
"""Those that pass by themselves, whatever they strike: after them nothing may be left undone. The
others strike one at a time, in `test_every_fault.py`."""

THAW_AFTER = 7.0  # seconds: more than the lease
SLOW = 3.0
"""Seconds for which a worker stands still and still has its lease, with its last beat before."""

EXAMINED_WITHIN = 10.0
PATIENCE = 30.0
CALM_PATIENCE = 120.0
"""Seconds for what has to happen: a part that keeps dying below `up` waits 30 for its next life."""
SETTLE = 0.5  # seconds, as in `plugin/chaos_exam.py`


class Hands:
    """Does acts. What has to end later is ended by `tick`, or at once by `let_go`."""

    def __init__(
        self, hub: LocalHub, api: HfApi, world: World, deployment: Deployment, diary: Diary
    ) -> None:
        self.hub, self.api, self.world = hub, api, world
        self.deployment, self.diary = deployment, diary
        self.webhook = ""
        self.pushed: dict[str, list[str]] = {repo: [] for repo in (*REPOS, QUIET)}
        self.post = PostOffice(deployment.port)
        self.person = Person(hub, deployment, diary, self.pushed, self._in)
        self._over = False
        self._still: set[int] = set()
        self._later: list[tuple[float, Callable[[], None]]] = []
        self._acts: dict[str, Callable[[random.Random], bool]] = {
            "push": self._push_some,
            "freeze worker": self._freeze_worker,
            "freeze web": lambda chance: self._freeze("web", chance.uniform(1, 4)),
            "freeze sweep": lambda chance: self._freeze("sweep", THAW_AFTER),
            "start a second up": self._second_up,
            "flush broker": self._flush,
            "cut broker": self._cut,
            "mute broker": self._mute,
            "trouble database": lambda chance: self._database(self.world.trouble_database),
            "lock database": lambda chance: self._database(self.world.lock_database),
            "fault": self._fault,
            "lose deliveries": self._lose,
            "replay": self._replay,
            "reverse deliveries": lambda chance: self._mix("reverse", chance),
            "double deliveries": lambda chance: self._mix("double", chance),
            "delay deliveries": lambda chance: self._mix("delay", chance),
            "move tag by hand": self.person.move_tag,
            "remove tag by hand": self.person.remove_tag,
            "put tag back by hand": self.person.put_tag_back,
            "settle a hold": self.person.settle_a_hold,
            "take a push back": self._take_back,
        }

    def do(self, act: Act) -> None:
        """Do it; what cannot be done now (nobody there to kill) is noted as such."""
        chance = random.Random(act.chance)
        kind, _, name = act.what.partition(" ")
        if kind == "kill":
            done = self._kill(name, chance)
        elif kind == "stop":
            done = self._stop(name, chance)
        else:
            done = self._acts[act.what](chance)
        self.diary.done[act.what if done else f"(no chance to) {act.what}"] += 1

    def tick(self) -> None:
        """End what is over, and start again what died."""
        now = time.monotonic()
        for each in [each for each in self._later if each[0] <= now]:
            self._later.remove(each)
            each[1]()
        self.deployment.keep(self.diary)
        time.sleep(0.05)

    def let_go(self) -> None:
        """End all trouble now, and begin none any more."""
        self._over = True
        later, self._later = self._later, []
        for _, end in later:
            end()
        while self.person.types():
            self.tick()
        self.post.how = "straight"
        self.hub.faults.clear()
        self.world.mend_broker()
        self.world.mend_database()

    def push(self, repo: str, score: float, seconds: float | None = None) -> str:
        """A person pushes a revision that will score so, in an exam of so many seconds (None: as it
        comes). Returns its sha."""
        files = {"score.txt": str(score), "when.txt": f"pushed at {time.time_ns()}"}
        files["seconds.txt"] = "" if seconds is None else str(seconds)
        commit = self.api.create_commit(
            repo,
            [CommitOperationAdd(path, text.encode()) for path, text in files.items()],
            commit_message=f"score {score}",
        )
        self.diary.scores[commit.oid] = score
        self.pushed[repo].append(commit.oid)
        return commit.oid

    def _kill(self, name: str, chance: random.Random) -> bool:
        if name == "eval":
            return self.deployment.kill(chance.choice(EVALS))
        if name not in ("supervisor", "sitting", "eval and supervisor"):
            return self.deployment.kill(name)
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
                for part in EVALS:
                    if self.deployment.pid(part) == asker:
                        self.deployment.kill(part)
            victim.kill()
            return True
        return False

    def _stop(self, name: str, chance: random.Random) -> bool:
        """TERM, as a deployment of a new version sends it: to one part, or to all at once."""
        if name == "everything":
            return self.deployment.stop_all()
        return self.deployment.stop(chance.choice(EVALS) if name == "eval" else name)

    def _push_some(self, chance: random.Random) -> bool:
        self.push(chance.choice(REPOS), chance.choice([0.9, 0.8, 0.7, 0.2]))
        return True

    def _freeze_worker(self, chance: random.Random) -> bool:
        return self._freeze(chance.choice(("io", *EVALS)), THAW_AFTER)

    def _freeze(self, name: str, seconds: float) -> bool:
        pid, since = self.deployment.pid(name), time.time()
        if pid is None or pid in self._still:
            return False
        self._still.add(pid)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)

        def thaw() -> None:
            with suppress(ProcessLookupError):  # it was killed meanwhile
                os.kill(pid, signal.SIGCONT)
            self._still.discard(pid)
            self.diary.frozen.append(Frozen(pid, since, time.time()))

        self._in(seconds, thaw)
        return True

    def _second_up(self, chance: random.Random) -> bool:
        """For a while there are two; the second is told to take the same port, or a free one."""
        end = self.deployment.start_second(same_port=chance.random() < 0.5)
        kill = chance.random() < 0.5
        if end is not None:
            self._in(chance.uniform(3, 8), lambda: end(kill))
        return end is not None

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

    def _database(self, trouble: Callable[[], None]) -> bool:
        since = time.time()
        trouble()

        def mend() -> None:
            self.world.mend_database()
            self.diary.dark.append((since, time.time()))

        self._in(3.0, mend)
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

    def _mix(self, how: How, chance: random.Random) -> bool:
        """Deliveries do not come as they were sent, for a while in which something is sent."""
        self.post.how = how
        self._in(chance.uniform(1.5, 3), self._straight)
        for _ in range(2):
            self._push_some(chance)
        return True

    def _straight(self) -> None:
        self.post.how = "straight"

    def kill_in_calm(self, name: str) -> None:
        """As the act, but the part is there to be killed, and comes back."""
        assert self._wait_until(lambda: not self.deployment.missing(), CALM_PATIENCE)
        before = (self.deployment.pid(name), None)
        self.diary.done[f"kill {name}"] += self.deployment.kill(name)
        assert self._wait_until(lambda: self.deployment.pid(name) not in before, CALM_PATIENCE)

    def take_back_in_calm(self, overtaken: Callable[[str], bool]) -> None:
        """As the act, but it comes to it, and to the second examination too. `overtaken` tells
        whether Proctor knows that main has moved on from a revision."""
        first = self.push(QUIET, 0.8, seconds=5.0)
        if self._wait_until(lambda: self._move_on(first)):
            sat = self._begun(first)
            self._wait_until(lambda: overtaken(first))
            settled = time.monotonic() + SETTLE
            self._wait_until(lambda: time.monotonic() > settled)  # else the run is put off
            self.person.push_back(QUIET, first)
            self._wait_until(lambda: self._begun(first) > sat)

    def _take_back(self, chance: random.Random) -> bool:
        """While a revision is examined by a worker that is slow to notice anything, main moves on,
        and then back to that revision: now two want to examine the same."""
        until = time.monotonic() + EXAMINED_WITHIN
        first = self.push(QUIET, 0.8, seconds=5.0)

        def look() -> None:
            stale = self._over or self.pushed[QUIET][-1] != first
            if not stale and self._move_on(first):
                self._in(0.8, lambda: self.person.push_back(QUIET, first))
            elif not stale and time.monotonic() < until:
                self._in(0.1, look)

        look()
        return True

    def _move_on(self, first: str) -> bool:
        """Push once more while `first` is examined, and let its worker stand still then."""
        notes = self._notes(first)
        if not notes or notes[-1]["what"] == "end":
            return False
        worker = notes[-1]["worker"]
        name = next((name for name in PARTS if self.deployment.pid(name) == worker), None)
        if name is None:
            return False
        self.push(QUIET, 0.2)
        self._freeze(name, SLOW)
        self.diary.done["push taken back under a slow worker"] += 1
        return True

    def _begun(self, revision: str) -> int:
        return sum(note["what"] == "begin" for note in self._notes(revision))

    def _notes(self, revision: str) -> list[dict[str, Any]]:
        """What the sittings of a revision noted."""
        journal = self.deployment.journal
        lines = journal.read_text().splitlines() if journal.exists() else []
        return [note for note in map(json.loads, lines) if f"@{revision}:" in note["exam"]]

    def _wait_until(self, true: Callable[[], bool], patience: float = PATIENCE) -> bool:
        until = time.monotonic() + patience
        while not true():
            if time.monotonic() > until:
                return False
            self.tick()
        return True

    def _in(self, seconds: float, end: Callable[[], None]) -> None:
        self._later.append((time.monotonic() + seconds, end))
