"""How a worker ends: a real process, the embedded broker."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Protocol

import pytest

from proctor.core.event import Event
from proctor.core.names import RepoType
from proctor.core.run import Step, StepKind, StepState
from proctor.flow.runs import plan_step
from proctor.queue.app import make_app
from proctor.queue.waker import CeleryQueue
from proctor.queue.worker import _IMPATIENT, EXIT_ABANDONED, LAST, run_worker
from proctor.settings import Settings
from proctor.wiring import Wiring

WORKER = Path(__file__).parent.parent / "queue" / "reporting_worker.py"


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[CeleryQueue]:
    made = CeleryQueue(make_app(f"filesystem://{tmp_path}/broker"), patience=60)
    yield made
    made.close()


class Start(Protocol):
    """Starts a worker with so many seconds of grace, and waits until it takes steps."""

    def __call__(
        self, grace: float, name: str = "worker", *more: str
    ) -> subprocess.Popen[bytes]: ...


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[subprocess.Popen[bytes]] = []

    def one(grace: float, name: str = "worker", *more: str) -> subprocess.Popen[bytes]:
        url = f"filesystem://{tmp_path}/broker"
        arguments = [url, "io", str(tmp_path), name, "2", str(grace), *more]
        with (tmp_path / "log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, str(WORKER), *arguments],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        started.append(process)
        until(lambda: (tmp_path / f"{name}.alive").exists())
        return process

    yield one
    for process in started:
        process.kill()
        process.wait()


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 120
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def stopping(log: Path) -> bool:
    """Whether it handles a signal: the time until the next one counts runs by then."""
    return "stopping:" in log.read_text()


def told(tmp_path: Path, name: str = "worker") -> list[tuple[str, str]]:
    report = tmp_path / f"{name}.jsonl"
    if not report.exists():
        return []
    lines = [json.loads(line) for line in report.read_text().splitlines()]
    return [(line["what"], line["step"]) for line in lines]


def step(step_id: str) -> Step:
    return Step(id=step_id, kind=StepKind.CHECK, subject="x", queue="io", due_at=0)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_worker_ends_at_once(start: Start, signum: int) -> None:
    worker = start(60)
    began = time.monotonic()
    worker.send_signal(signum)
    assert worker.wait(60) == 0
    assert time.monotonic() - began < 30  # the grace is not waited for


def test_signals_to_the_whole_group_again_and_again_lose_nothing(
    start: Start, queue: CeleryQueue, tmp_path: Path
) -> None:
    assert _IMPATIENT >= 1  # to tell one Ctrl-C, which comes twice, from two
    worker = start(120, "worker", "120")  # however late this one is, here it is one
    for name in ("slow-1", "slow-2"):
        assert queue.wake(step(name))
    until(lambda: len(told(tmp_path)) == 2)
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGTERM, signal.SIGINT):
        os.killpg(worker.pid, signum)
    assert worker.wait(100) == 0
    assert {("ended", "slow-1"), ("ended", "slow-2")} <= set(told(tmp_path))


def test_deaf_work_is_abandoned_after_the_grace(
    start: Start, queue: CeleryQueue, tmp_path: Path
) -> None:
    worker = start(1.5)
    assert queue.wake(step("deaf-1"))
    until(lambda: told(tmp_path) == [("began", "deaf-1")])
    began = time.monotonic()
    worker.terminate()
    assert worker.wait(60) == EXIT_ABANDONED
    assert 1.4 < time.monotonic() - began < 20
    assert "abandoned" in (tmp_path / "log").read_text()
    assert told(tmp_path)[1:] == [("abandoned", "")]


def test_giving_back_does_not_hold_up_the_end(
    start: Start, queue: CeleryQueue, tmp_path: Path
) -> None:
    worker = start(0.5, "mute")
    assert queue.wake(step("deaf-1"))
    until(lambda: told(tmp_path, "mute") == [("began", "deaf-1")])
    worker.terminate()
    assert worker.wait(LAST + 60) == EXIT_ABANDONED
    assert told(tmp_path, "mute")[1:] == [("abandoned", "")]


def test_a_second_ctrl_c_means_now(start: Start, queue: CeleryQueue, tmp_path: Path) -> None:
    worker = start(300)
    assert queue.wake(step("deaf-1"))
    until(lambda: told(tmp_path) == [("began", "deaf-1")])
    worker.send_signal(signal.SIGINT)
    until(lambda: stopping(tmp_path / "log"))
    time.sleep(2.2)
    worker.send_signal(signal.SIGINT)
    assert worker.wait(60) == EXIT_ABANDONED


def test_the_alive_file_is_there_while_connected(start: Start, tmp_path: Path) -> None:
    start(10)
    assert time.time() - (tmp_path / "worker.alive").stat().st_mtime < 60


RULES = """
stages: [{name: staging}]
pipelines:
  - name: p
    match: {repo: "acme/*"}
    checks: [{use: files}]
    gate: [{metric: files/weight_files, at_least: 0}]
    promote: [staging]
"""


def test_a_step_that_hangs_in_the_hub_is_given_back(tmp_path: Path) -> None:
    (tmp_path / "proctor.yaml").write_text(RULES)
    with socket.create_server(("127.0.0.1", 0)) as hub:  # takes every call and answers none
        hub.settimeout(120)
        environ = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(sys.path),
            "HOME": str(tmp_path),
            "HF_ENDPOINT": f"http://127.0.0.1:{hub.getsockname()[1]}",
            "PROCTOR_CONFIG": str(tmp_path / "proctor.yaml"),
            "PROCTOR_HOME": str(tmp_path / "home"),
        }
        with closing(Wiring(Settings.from_environment(environ))) as wiring:
            step = _asked(wiring)
            command = [sys.executable, "-m", "proctor", "worker", "--queues", "io"]
            with (tmp_path / "log").open("wb") as log:
                worker = subprocess.Popen(command, env=environ, cwd=tmp_path, stderr=log)
            try:
                with hub.accept()[0]:
                    worker.terminate()
                    until(lambda: stopping(tmp_path / "log"))
                    time.sleep(2.2)
                    worker.send_signal(signal.SIGINT)  # rather than wait out the grace
                    assert worker.wait(60) == EXIT_ABANDONED
            finally:
                worker.kill()
                worker.wait()
            with wiring.ledger.view() as view:
                (left,) = view.open_steps()
                (attempt,) = view.attempts(step.kind, step.subject)
            assert (left.id, left.state, left.attempts) == (step.id, StepState.READY, 0)
            assert left.lease_until is None
            assert attempt.outcome == "given back: the worker stops"


def _asked(wiring: Wiring) -> Step:
    """A look at a repo, asked for as a webhook would, and its hint on the queue."""
    clock, hub_id = wiring.clock, "a" * 24
    event = Event(
        id=clock.new_id(),
        identity="x",
        source="webhook",
        received_at=clock.now(),
        action="update",
        scope="repo.content",
        repo_type=RepoType.MODEL,
        hub_id=hub_id,
        repo_name="acme/bot",
        updates=(),
    )
    with wiring.ledger.transaction() as tx:
        tx.add_event(event)
        step = tx.add_step(plan_step(clock, hub_id))
    assert wiring.queue.wake(step)
    return step


@pytest.mark.parametrize(("queues", "concurrency"), [(["io"], 0), (["no such name"], 1)])
def test_a_worker_that_cannot_be_is_refused(
    queues: list[str], concurrency: int, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=r"thread|queue"):
        run_worker(
            make_app(f"filesystem://{tmp_path}/broker"),
            print,
            queues=queues,
            concurrency=concurrency,
            name="worker@test",
            on_stop=lambda: None,
        )
