"""A command that forks away and kills its supervisor leaves nothing, and harms nobody else."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from proctor.checks.supervisor.ending import childless
from proctor.checks.supervisor.supervised import Ending, Why, run

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere less is guaranteed")

SLEEP = [sys.executable, "-c", "import time; time.sleep(300)"]

ESCAPE = """
import os, signal, subprocess, sys, time
away = '''
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
time.sleep(300) # {name}
'''
for _ in range(3):  # no mark, no folder, no group, no session of ours
    subprocess.Popen([sys.executable, '-c', away], env={{}}, cwd='/', start_new_session=True)
time.sleep(0.7)
os.kill(int(os.environ['SUPERVISED_BY']), signal.SIGKILL)
time.sleep(300)
"""


def supervised(folder: Path, code: str) -> Ending:
    folder.mkdir(exist_ok=True)
    return run(
        [sys.executable, "-c", code],
        folder=folder,
        environment={"PATH": os.environ["PATH"]},
        request="",
        time_limit=250,
        stop=lambda: False,
    )


def running(name: str) -> list[int]:
    """Processes, dead ones too, whose command tells this name; not this one."""
    found = []
    for process in psutil.process_iter():
        try:
            if name in " ".join(process.cmdline()) and process.pid != os.getpid():
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


def children() -> set[int]:
    """Children of this process, dead ones that nobody collected too."""
    return {child.pid for child in psutil.Process().children()}


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A child that this program has for its own ends, in a session of its own."""
    child = subprocess.Popen(SLEEP, start_new_session=True)
    yield child
    child.kill()
    child.wait()


@LINUX
def test_who_forks_away_and_kills_its_supervisor_is_ended(tmp_path: Path) -> None:
    before, name = children(), f"away-{tmp_path}"
    ending = supervised(tmp_path / "a", ESCAPE.format(name=name))
    assert ending.why is Why.SUPERVISOR_DIED
    assert running(name) == []
    assert children() == before  # and the dead are collected


@LINUX
def test_what_else_the_worker_runs_is_left_alone(
    tmp_path: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    done = subprocess.Popen([sys.executable, "-c", "raise SystemExit(7)"], start_new_session=True)
    name = f"away-{tmp_path}"
    with ThreadPoolExecutor(3) as pool:
        other = pool.submit(supervised, tmp_path / "other", "import time; time.sleep(4); exit(3)")
        strays = [
            pool.submit(supervised, tmp_path / str(n), ESCAPE.format(name=name)) for n in range(2)
        ]
        assert [each.result().why for each in strays] == [Why.SUPERVISOR_DIED] * 2
        assert (other.result().why, other.result().returncode) == (Why.EXITED, 3)
    assert running(name) == []
    assert sleeper.poll() is None
    assert done.wait() == 7  # its status was not taken from us


@LINUX
def test_orphans_are_adopted_only_while_a_command_runs(tmp_path: Path) -> None:
    supervised(tmp_path, "pass")
    orphan = "import os, time; os.fork() and os._exit(0); time.sleep(0.5); print(os.getppid())"
    told = subprocess.run([sys.executable, "-c", orphan], capture_output=True, check=True)
    assert int(told.stdout) != os.getpid()


def test_it_is_known_whether_a_child_runs(sleeper: subprocess.Popen[bytes]) -> None:
    assert not childless()
    # In a program that has no other children, as this one may have.
    alone = (
        "import subprocess, sys, time; from proctor.checks.supervisor.ending import childless;"
        "assert childless(); child = subprocess.Popen([sys.executable, '-c', 'input()'], stdin=-1);"
        "assert not childless(); child.kill(); ends = time.monotonic() + 120\n"
        "while not childless():\n"  # it is a zombie by then: that runs no more
        "    assert time.monotonic() < ends; time.sleep(0.01)"
    )
    subprocess.run([sys.executable, "-c", alone], check=True, stderr=subprocess.PIPE)
