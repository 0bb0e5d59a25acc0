"""Two sweeps at once over one ledger: each thing is found once, and done once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import HfApi
from tests.patience import patient

from proctor.cli import rounds
from proctor.core.event import Event
from proctor.core.names import RepoType, Revision
from proctor.core.run import Step, StepKind, StepState
from proctor.localhub import LocalHub
from proctor.settings import Settings
from proctor.wiring import Wiring

RULES = """
stages: [{name: staging}]
pipelines:
  - name: p
    match: {repo: "acme/*"}
    checks: [{use: files}]
    gate: [{metric: files/weight_files, at_least: 0}]
    promote: [staging]
"""
REPOS, ROUNDS = 5, 3


@dataclass(frozen=True)
class World:
    """A Local Hub with some repos, and what a Proctor of it is started with."""

    folder: Path
    api: HfApi
    environ: dict[str, str]

    def push(self, number: int) -> dict[str, Revision]:
        """One commit to each of some new repos; no webhook tells of any."""
        pushed = {}
        for name in (f"acme/bot-{number}-{n}" for n in range(REPOS)):
            self.api.create_repo(name)
            done = self.api.upload_file(
                path_or_fileobj=os.urandom(8), path_in_repo="model.safetensors", repo_id=name
            )
            pushed[name] = Revision(done.oid)
        return pushed

    def opened(self) -> Wiring:
        """A Proctor as each process has it."""
        return Wiring(Settings.from_environment(self.environ))


@pytest.fixture(params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    (tmp_path / "proctor.yaml").write_text(RULES)
    with LocalHub(tmp_path / "hub") as hub:
        hub.create_org("acme")
        token = hub.create_user("ada", orgs=["acme"])
        api = HfApi(endpoint=hub.url, token=token)
        environ = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(sys.path),
            "HOME": str(tmp_path),
            "HF_ENDPOINT": hub.url,
            "HF_TOKEN": token,
            "PROCTOR_CONFIG": str(tmp_path / "proctor.yaml"),
            "PROCTOR_HOME": str(tmp_path / "home"),
            "PROCTOR_SWEEP_INTERVAL": "1",
            "PROCTOR_RECONCILE_INTERVAL": "1",
        }
        if request.param == "postgresql":
            environ["PROCTOR_DATABASE_URL"] = patient(request.getfixturevalue("postgres_url"))
        yield World(tmp_path, api, environ)


def at_once(*acts: Callable[[], Any]) -> Sequence[Any]:
    """What each gives, all begun in the same moment."""
    begin = threading.Barrier(len(acts))

    def one(act: Callable[[], Any]) -> Any:
        begin.wait()
        return act()

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(one, acts))


def test_each_thing_is_found_once_and_done_once(world: World) -> None:
    with ExitStack() as stack:
        first, second = (stack.enter_context(closing(world.opened())) for _ in range(2))
        pushed: list[Revision] = []
        for number in range(ROUNDS):
            new = world.push(number)
            pushed += new.values()
            dead, orphan = _left_by_the_dead(first, number)
            found = at_once(lambda: rounds.once(first), lambda: rounds.once(second))
            assert [facts["drift"]["trouble"] for facts in found] == [[], []]
            assert sum(facts["reclaimed"] for facts in found) == 1
            assert set().union(*(f["drift"]["missed"] for f in found)) == set(new)
            with first.ledger.view() as view:
                looks = [s for s in view.open_steps() if s.kind is StepKind.PLAN]
                ends = [a.outcome for a in view.attempts(dead.kind, dead.subject)]
            assert ends[-1] == "lease expired"
            subjects = {step.subject for step in looks}
            assert len(looks) == len(subjects) == REPOS + 2
            assert {dead.subject, orphan} < subjects
            workers = [w.worker(threading.Event()) for w in (first, second)]
            for step in looks:
                done = at_once(*(lambda w=w, s=step: w.perform(s.id) for w in workers))
                assert sorted(done) == [False, True]
        with first.ledger.view() as view:
            events = [e for e in view.events(limit=1000) if e.source == "sweep"]
            runs = [run.revision for run in view.runs(limit=1000)]
        assert len({e.identity for e in events}) == len(events) == len(pushed)
        assert sorted(runs) == sorted(pushed)


def _left_by_the_dead(wiring: Wiring, number: int) -> tuple[Step, str]:
    """A look whose worker died, and the repo of an event that no step waits for."""
    clock, dead, orphan = wiring.clock, f"{number:024x}", f"{number + 100:024x}"
    event = Event(
        id=clock.new_id(),
        identity=f"orphan-{number}",
        source="webhook",
        received_at=clock.now(),
        action="update",
        scope="repo.content",
        repo_type=RepoType.MODEL,
        hub_id=orphan,
        repo_name=f"elsewhere/{number}",
        updates=(),
    )
    step = Step(clock.new_id(), StepKind.PLAN, dead, "io", clock.now())
    with wiring.ledger.transaction() as tx:
        tx.add_event(event)
        tx.add_step(step)
    claim = wiring.ledger.claim(step.id, "dead", 0.001)
    assert claim is not None and claim.step.state is StepState.RUNNING
    time.sleep(0.01)
    return step, orphan


def test_two_processes_share_a_ledger_and_end_in_order(world: World) -> None:
    pushed = world.push(0)
    logs = [world.folder / f"sweep-{n}.log" for n in range(2)]
    with ExitStack() as stack:
        sweeps = []
        for log in logs:
            process = subprocess.Popen(
                [sys.executable, "-m", "proctor", "sweep"],
                env=world.environ,
                stderr=stack.enter_context(log.open("wb")),
            )
            stack.callback(process.wait)
            stack.callback(process.kill)
            sweeps.append(process)
        wiring = stack.enter_context(closing(world.opened()))
        deadline = time.monotonic() + 120
        while len(_events(wiring)) < REPOS or not all(log.stat().st_size for log in logs):
            assert time.monotonic() < deadline, [log.read_text() for log in logs]
            assert [s.poll() for s in sweeps] == [None, None], [log.read_text() for log in logs]
            time.sleep(0.1)
        time.sleep(2.5)  # both go round a few times more
        for process in sweeps:
            process.send_signal(signal.SIGTERM)
        assert [process.wait(120) for process in sweeps] == [0, 0]
        assert sorted(e.head or "" for e in _events(wiring)) == sorted(pushed.values())
        with wiring.ledger.view() as view:
            assert len(view.open_steps()) == REPOS
    for log in logs:
        # A clock is found wrong where the sweep stood still in the middle of comparing it.
        lines = [line for line in log.read_text().splitlines() if "set it by NTP" not in line]
        said = "\n".join(lines)
        assert not [word for word in ("ERROR", "Traceback", "WARNING") if word in said], said


def _events(wiring: Wiring) -> Sequence[Event]:
    with wiring.ledger.view() as view:
        return view.events(limit=1000)
