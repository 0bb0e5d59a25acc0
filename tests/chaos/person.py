"""What a person does in a storm: moves tags by hand, takes pushes back, settles holds."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence

import httpx2
from tests.chaos.deployment import Deployment
from tests.chaos.diary import ByHand, Diary
from tests.chaos.hub_record import HubRecord

from proctor.localhub import LocalHub

TAGS = ("staging", "prod")

Later = Callable[[float, Callable[[], None]], None]


class Person:
    """Works on the tags of `pushed` (shas by repo, oldest first), and with the command. `later`
    calls something after so many seconds."""

    def __init__(
        self,
        hub: LocalHub,
        deployment: Deployment,
        diary: Diary,
        pushed: Mapping[str, Sequence[str]],
        later: Later,
    ) -> None:
        self._hub, self._deployment, self._diary = hub, deployment, diary
        self._pushed, self._later = pushed, later
        self._record = HubRecord(hub.root)
        self._settling: threading.Thread | None = None

    def move_tag(self, chance: random.Random) -> bool:
        """Somewhere else: in one, or as the Hub's page has it, by removing it first."""
        repo, tag, now = self._some_tag(chance)
        others = [sha for sha in self._pushed[repo] if sha != now]
        if now is None or not others:
            return False
        revision = chance.choice(others)
        if chance.random() < 0.6:
            return self._put(repo, tag, revision)
        if not self._put(repo, tag, None):
            return False
        self._later(chance.uniform(0.1, 1.0), lambda: self._put_again(repo, tag, revision))
        return True

    def remove_tag(self, chance: random.Random) -> bool:
        """Away with it."""
        repo, tag, now = self._some_tag(chance)
        return now is not None and self._put(repo, tag, None)

    def put_tag_back(self, chance: random.Random) -> bool:
        """What a person moved last goes back where it was, if nobody touched it since."""
        for act in reversed(self._diary.by_hand):
            now = self._record.refs(act.repo).get(f"refs/tags/{act.tag}")
            if act.before is not None and now == act.revision != act.before:
                return self._put(act.repo, act.tag, act.before)
        return False

    def settle_a_hold(self, chance: random.Random) -> bool:
        """With the command, which takes its time: the storm goes on meanwhile."""
        if self.types():
            return False
        restore, pick = chance.random() < 0.5, chance.random()
        self._settling = threading.Thread(
            target=self.settle_holds, kwargs={"restore": restore, "pick": pick}
        )
        self._settling.start()
        return True

    def settle_holds(self, *, restore: bool, pick: float | None = None) -> None:
        """Settle every hold (with `pick`, 0 to 1: one of them), by restoring our tag where that
        can be, or by accepting the person's."""
        told = self._deployment.command("status", "--json")
        holds = json.loads(told)["holds"] if told else []
        if holds and pick is not None:
            holds = [holds[int(pick * len(holds))]]
        for hold in holds:
            settle = ("release", hold["repo"], hold["stage"], "--by", "ana")
            if restore and self._deployment.command(*settle, "--restore") is not None:
                self._diary.done["hold settled: restore"] += 1
            elif self._deployment.command(*settle, "--accept") is not None:
                self._diary.done["hold settled: accept"] += 1

    def types(self) -> bool:
        """Whether a command is under way."""
        return self._settling is not None and self._settling.is_alive()

    def push_back(self, repo: str, revision: str) -> None:
        """Point main at an earlier commit, as `git push --force` does."""
        self._force(repo, "refs/heads/main", revision)

    def _some_tag(self, chance: random.Random) -> tuple[str, str, str | None]:
        """A tag that is there, if any is."""
        there = [
            (repo, tag, refs.get(f"refs/tags/{tag}"))
            for repo, refs in ((repo, self._record.refs(repo)) for repo in self._pushed)
            for tag in TAGS
        ]
        return chance.choice([each for each in there if each[2]] or there)

    def _put(self, repo: str, tag: str, revision: str | None) -> bool:
        since = time.time()
        change = self._force(repo, f"refs/tags/{tag}", revision)
        if change is None:
            return False
        act = ByHand(repo, tag, change["oldSha"], revision, since, time.time())
        self._diary.by_hand.append(act)
        return True

    def _put_again(self, repo: str, tag: str, revision: str) -> None:
        if self._record.refs(repo).get(f"refs/tags/{tag}") is None:
            self._put(repo, tag, revision)

    def _force(self, repo: str, ref: str, revision: str | None) -> Mapping[str, str] | None:
        """What `git push --force` does: old to new, in one; None when there was nothing to do."""
        address = f"{self._hub.url}/_push/models/{repo}"
        answer = httpx2.post(address, json={"refs": {ref: revision}}, timeout=30)
        if answer.status_code == 404 and revision is None:
            return None  # Proctor was quicker
        answer.raise_for_status()
        (change,) = answer.json()["updatedRefs"]
        told: Mapping[str, str] = change
        return told
