"""Nothing of a supervised command outlives whoever asked for it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from proctor.checks.supervisor.ending import end_recorded, family, reap
from proctor.checks.supervisor.log import BoundedLog
from proctor.checks.supervisor.record import MARK, RECORD, Identity, Record, boot_id, read
from proctor.checks.supervisor.supervised import LOG, Ending, Why, run

SECONDS = 120  # what "soon" may be on a machine that stands still for a while

STUBBORN = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
sleep = [sys.executable, '-c', 'import time; time.sleep(300)']
subprocess.Popen(sleep)
subprocess.Popen(sleep, start_new_session=True)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:  # away from its parent, its group and its session
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(300)
    os._exit(0)
print('ready', flush=True)
time.sleep(300)
"""

OWNER = """
import os, sys
from pathlib import Path
from proctor.checks.supervisor.supervised import run
run([sys.executable, '-c', sys.argv[2]], folder=Path(sys.argv[1]),
    environment={'PATH': os.environ['PATH']}, request='', time_limit=300, stop=lambda: False)
"""


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def never() -> bool:
    return False


def supervised(
    folder: Path, code: str, limit: float = 250, stop: Callable[[], bool] = never
) -> Ending:
    return run(
        python(code),
        folder=folder,
        environment={"PATH": os.environ["PATH"]},
        request="42",
        time_limit=limit,
        stop=stop,
    )


def ready(folder: Path) -> bool:
    """Whether the command has come as far as to say so."""
    return (folder / LOG).exists() and b"ready" in (folder / LOG).read_bytes()


def alive(folder: Path) -> list[psutil.Process]:
    """Processes that work in `folder`: every one of ours does."""
    found = []
    for process in psutil.process_iter():
        try:
            runs = process.status() != psutil.STATUS_ZOMBIE
            if runs and process.cwd() == str(folder.resolve()):
                found.append(process)
        except psutil.Error:
            continue
    return found


def wait_for(folder: Path, count: int) -> None:
    """Until exactly so many processes work in `folder`."""
    deadline = time.monotonic() + SECONDS
    while len(alive(folder)) != count:
        assert time.monotonic() < deadline, f"{len(alive(folder))} run, not {count}"
        time.sleep(0.05)


@pytest.fixture
def owner(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A worker that has a stubborn command under supervision: five processes in all."""
    worker = subprocess.Popen([*python(OWNER), str(tmp_path), STUBBORN])
    try:
        deadline = time.monotonic() + SECONDS
        while not ready(tmp_path):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        wait_for(tmp_path, 5)  # supervisor, command, two children, and the one that went away
        yield worker
    finally:
        worker.kill()
        worker.wait()
        for process in alive(tmp_path):
            process.kill()


def test_its_end_and_what_it_said(tmp_path: Path) -> None:
    ending = supervised(tmp_path, "import sys; print('got', sys.stdin.read()); sys.exit(3)")
    assert (ending.why, ending.returncode) == (Why.EXITED, 3)
    assert (tmp_path / LOG).read_text(encoding="utf-8") == "got 42\n"
    assert not (tmp_path / RECORD).exists()


def test_a_signal_is_told(tmp_path: Path) -> None:
    ending = supervised(tmp_path, "import os; os.kill(os.getpid(), 9)")
    assert (ending.why, ending.returncode) == (Why.EXITED, -signal.SIGKILL)


def test_the_time_limit_ends_the_stubborn(tmp_path: Path) -> None:
    for limit in (1, 10, 100):
        (folder := tmp_path / str(limit)).mkdir()
        ending = supervised(folder, STUBBORN, limit=limit)
        if ready(folder):  # or it was ended before it could be stubborn
            break
    assert ending.why is Why.TIME_LIMIT
    assert ending.returncode == -signal.SIGKILL  # TERM was ignored
    assert alive(folder) == []


def test_stopping_ends_the_stubborn(tmp_path: Path) -> None:
    began = time.monotonic()
    ending = supervised(tmp_path, STUBBORN, stop=lambda: ready(tmp_path))
    assert ending.why is Why.STOPPED
    assert time.monotonic() - began < 60
    assert alive(tmp_path) == []


def test_a_command_that_ends_leaves_no_children(tmp_path: Path) -> None:
    ending = supervised(tmp_path, STUBBORN.replace("\ntime.sleep(300)\n", "\n"))
    assert (ending.why, ending.returncode) == (Why.EXITED, 0)
    assert alive(tmp_path) == []


def test_term_is_asked_before_kill(tmp_path: Path) -> None:
    polite = (
        "import signal, sys, time; signal.signal(15, lambda *a: sys.exit(7));"
        "print('ready', flush=True); time.sleep(300)"
    )
    assert supervised(tmp_path, polite, stop=lambda: ready(tmp_path)).returncode == 7


def test_killing_the_worker_leaves_nothing(owner: subprocess.Popen[bytes], tmp_path: Path) -> None:
    owner.kill()
    owner.wait()
    wait_for(tmp_path, 0)


def test_killing_worker_and_supervisor_leaves_what_the_next_attempt_ends(
    owner: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    record = read(tmp_path / RECORD)
    assert record is not None
    assert record.supervisor is not None
    assert reap(tmp_path) == []  # its owner lives: not ours to end
    assert len(alive(tmp_path)) == 5
    os.kill(record.supervisor.pid, signal.SIGSTOP)  # it cannot do its duty
    owner.kill()
    owner.wait()
    os.kill(record.supervisor.pid, signal.SIGKILL)
    assert len(alive(tmp_path)) >= 3
    assert reap(tmp_path.parent) == []
    wait_for(tmp_path, 0)
    assert not (tmp_path / RECORD).exists()


def test_a_record_of_another_boot_ends_nothing(tmp_path: Path) -> None:
    sleeper = subprocess.Popen(python("import time; time.sleep(300)"), start_new_session=True)
    try:
        gone = Identity(2**22 - 3, 1.0)
        record = Record("m", "another boot", gone, group=Identity.of(sleeper.pid))
        assert end_recorded(record) == []
        recycled = Record("m", boot_id(), gone, group=Identity(sleeper.pid, 1.0))
        assert end_recorded(recycled, grace=0) == []  # the id lives on as somebody else
        assert sleeper.poll() is None
    finally:
        sleeper.kill()
        sleeper.wait()


def test_a_process_is_found_by_its_mark(tmp_path: Path) -> None:
    sleeper = subprocess.Popen(
        python("import time; time.sleep(300)"), env={MARK: "mine"}, start_new_session=True
    )
    try:
        deadline = time.monotonic() + SECONDS
        while [p.pid for p in family("mine", None)] != [sleeper.pid]:
            assert time.monotonic() < deadline
        assert family("not mine", None) == []
    finally:
        sleeper.kill()
        sleeper.wait()


def test_a_flood_of_output_is_bounded(tmp_path: Path) -> None:
    code = "import sys\nfor i in range(200_000): print('line', i, 'x' * 20)"
    assert supervised(tmp_path, code).why is Why.EXITED
    said = (tmp_path / LOG).read_text(encoding="utf-8")
    assert len(said) < 300_000
    assert said.startswith("line 0 ")
    assert "bytes left out" in said
    assert "line 199999 " in said


def test_a_log_counts_what_it_leaves_out(tmp_path: Path) -> None:
    log = BoundedLog(tmp_path / "log", head=4, tail=4)
    for chunk in (b"abcdef", b"gh", b"ij", b"kl"):
        log.feed(chunk)
    log.close()
    assert (tmp_path / "log").read_bytes() == b"abcd\n[... 2 bytes left out ...]\nghijkl"
