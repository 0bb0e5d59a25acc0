"""A Hub that hangs, for all repos or for some, leaves threads for everything else."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from proctor.core.errors import TransientError
from proctor.core.names import Repo, RepoType
from proctor.core.run import Run, RunStatus, StepKind
from proctor.flow.turns import Turns
from proctor.ports.hub import Hub

if TYPE_CHECKING:
    from tests.flow.conftest import Walkthrough


class Hanging:
    """A Hub that takes a call about a repo and says nothing, until it `answers`."""

    def __init__(self, hub: Any) -> None:
        self._hub = hub
        self.taken, self.answers = threading.Semaphore(0), threading.Event()
        self.asking = self.most = 0
        self._lock = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._hub, name)

    def find(self, type: RepoType, name: str) -> Repo:
        """Wait for an answer that comes late."""
        with self._lock:
            self.asking += 1
            self.most = max(self.most, self.asking)
        self.taken.release()
        waited = self.answers.wait(120)
        with self._lock:
            self.asking -= 1
        if not waited:
            raise TransientError("no answer within 120 s")
        found: Repo = self._hub.find(type, name)
        return found


def _judged(walk: Walkthrough) -> Run:
    (run,) = walk.runs(walk.hub.refs(walk.repo)["refs/heads/main"])
    return run


def test_a_hub_that_hangs_leaves_a_thread_for_all_other_work(walk: Walkthrough) -> None:
    walk.push(0.1)
    judge = walk.until(StepKind.JUDGE)
    hub: Any = Hanging(walk.hub)
    asked: Hub = hub
    for number in range(8):
        walk.hub.create_repo(RepoType.MODEL, f"acme/sick-{number}")
    walk.deliver_all()
    looks = [step for step in walk.open_steps() if step.kind is StepKind.PLAN]
    worker = walk.worker_named("w4", hub=asked)
    with ThreadPoolExecutor(4) as threads:
        tried = [threads.submit(worker.perform, step.id) for step in looks]
        try:
            for _ in range(3):
                assert hub.taken.acquire(timeout=60)
            assert threads.submit(worker.perform, judge.id).result(60)
            assert _judged(walk).status is RunStatus.HELD
            (notice,) = (s for s in walk.open_steps() if s.kind is StepKind.ANNOUNCE)
            assert threads.submit(worker.perform, notice.id).result(60)
            assert walk.told() == ["run.held"]
            assert [each.done() for each in tried].count(False) == 3
            assert all(step.attempts == 0 for step in _waiting(walk))
        finally:
            hub.answers.set()
    # Who waited had its turn without the sweep, and without another hint.
    assert _waiting(walk) == []
    assert (hub.most, worker.perform(looks[0].id)) == (3, False)


def _waiting(walk: Walkthrough) -> list[Any]:
    return [s for s in walk.open_steps() if s.kind is StepKind.PLAN and s.worker is None]


def test_a_step_that_waits_for_its_turn_is_found_by_the_sweep_after_a_crash(
    walk: Walkthrough,
) -> None:
    sha = walk.push()
    walk.deliver_all()
    assert walk.drain(replace(walk.worker, askers=Turns(0))) == 0
    walk.settle()
    assert walk.run(sha).status is RunStatus.PROMOTED
