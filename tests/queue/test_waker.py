"""Waking, whatever the broker does."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from proctor.core.run import Step, StepKind
from proctor.ports.queue import Queue
from proctor.queue import app as app_module
from proctor.queue import folder as folder_module
from proctor.queue.app import make_app
from proctor.queue.waker import CeleryQueue


def step(step_id: str = "step", queue: str = "io") -> Step:
    return Step(id=step_id, kind=StepKind.PLAN, subject="subject", queue=queue, due_at=0)


@pytest.fixture
def mute_port() -> Iterator[int]:
    """A port where a real server accepts and never answers."""
    with ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        server.settimeout(0.1)
        done = threading.Event()

        def accept() -> None:
            while not done.is_set():
                try:
                    stack.enter_context(server.accept()[0])
                except TimeoutError:
                    continue

        acceptor = threading.Thread(target=accept)
        acceptor.start()
        yield int(server.getsockname()[1])
        done.set()
        acceptor.join()


@pytest.fixture
def dead_port() -> Iterator[int]:
    """A port that nobody else gets, and where nobody listens: connections are refused."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield int(taken.getsockname()[1])


def test_a_mute_broker_costs_one_caller_its_patience_and_the_next_nothing(
    mute_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app_module, "SOCKET_TIMEOUT", 60.0)  # the patience ends it, not this
    url = f"redis://127.0.0.1:{mute_port}/0"
    queue: Queue = CeleryQueue(make_app(url), patience=1.0, pause=60)
    began = time.monotonic()
    assert not queue.wake(step())
    assert 0.9 < time.monotonic() - began < 30
    began = time.monotonic()
    for _ in range(100):
        assert not queue.wake(step())
    assert time.monotonic() - began < 50  # not a second for each
    assert isinstance(queue, CeleryQueue)
    queue.close()


def test_a_mute_broker_is_left_by_itself_after_the_socket_timeout(mute_port: int) -> None:
    queue = CeleryQueue(make_app(f"redis://127.0.0.1:{mute_port}/0"), patience=60)
    began = time.monotonic()
    assert not queue.wake(step())
    assert time.monotonic() - began < 30
    queue.close()


def test_callers_at_once_wait_together_not_in_line(mute_port: int) -> None:
    queue = CeleryQueue(make_app(f"redis://127.0.0.1:{mute_port}/0"), patience=1.0)
    began = time.monotonic()
    with ThreadPoolExecutor(20) as callers:
        assert not any(callers.map(queue.wake, [step(f"step-{n}") for n in range(20)]))
    assert time.monotonic() - began < 10
    queue.close()


def test_a_refusing_broker_costs_nearly_nothing(
    dead_port: int, caplog: pytest.LogCaptureFixture
) -> None:
    url = f"redis://:hush-hush@127.0.0.1:{dead_port}/0"
    queue = CeleryQueue(make_app(url), patience=60, pause=0.1)
    with caplog.at_level(logging.INFO):
        began = time.monotonic()
        for _ in range(3):
            assert not queue.wake(step())
            time.sleep(0.15)
    assert time.monotonic() - began < 30
    assert caplog.text.count("takes no hints") == 1  # once for the whole outage
    assert "hush-hush" not in caplog.text
    queue.close()


def test_nothing_is_tried_during_the_pause(tmp_path: Path) -> None:
    folder = tmp_path / "broker"
    folder.touch()  # a file where the folder should be
    app = make_app(f"filesystem://{folder}")
    long, short = (CeleryQueue(app, patience=60, pause=pause) for pause in (60, 0.1))
    assert not long.wake(step())
    assert not short.wake(step())
    folder.unlink()
    assert not long.wake(step())
    time.sleep(0.2)
    assert short.wake(step())
    long.close()
    short.close()


def test_threads_share_one_queue(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    queue = CeleryQueue(make_app(f"filesystem://{tmp_path / 'broker'}"), patience=60)
    with ThreadPoolExecutor(8) as callers:
        assert all(callers.map(queue.wake, [step(f"step-{n}") for n in range(200)]))
    assert len(list((tmp_path / "broker" / "io").glob("*.msg"))) == 200
    queue.close()
    assert set(threading.enumerate()) <= before


def test_a_full_queue_does_not_close_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_module, "MAX_MESSAGES", 2)
    queue = CeleryQueue(make_app(f"filesystem://{tmp_path / 'broker'}"), patience=60)
    assert [queue.wake(step(f"step-{n}", "eval")) for n in range(4)] == [True, True, False, False]
    assert queue.wake(step("step-5", "io"))
    queue.close()


def test_a_queue_of_another_kind_of_hardware_is_made_on_first_use(tmp_path: Path) -> None:
    queue = CeleryQueue(make_app(f"filesystem://{tmp_path / 'broker'}"), patience=60)
    assert queue.wake(step("step", "gpu-80gb"))
    assert len(list((tmp_path / "broker" / "gpu-80gb").glob("*.msg"))) == 1
    assert not queue.wake(step("step", "../gpu"))
    queue.close()


def test_close_twice_and_wake_again(tmp_path: Path) -> None:
    queue = CeleryQueue(make_app(f"filesystem://{tmp_path / 'broker'}"), patience=60)
    queue.close()
    assert queue.wake(step("one"))
    queue.close()
    queue.close()
    assert queue.wake(step("two"))
    queue.close()
