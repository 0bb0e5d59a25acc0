"""A whole deployment as separate processes, which are expected to die."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
from tests.chaos.diary import Diary, Stopped

import proctor
from proctor.localhub import LocalHub

SECRET = "the webhook secret of the storms"
SOURCE = Path(proctor.__file__).parents[1]  # the parts are the code under test
PLUGIN = Path(__file__).with_name("plugin")
START_AGAIN = 0.2  # seconds from the death of a part to its next life

RULES = """
stages:
  - {{name: staging}}
  - {{name: prod, after: staging}}
pipelines:
  - name: scores
    match: {{repo: "acme/*"}}
    checks:
      - {{use: files}}
      - {{use: chaos, name: exam, needs: [files], with: {{name: exam, journal: "{journal}"}}}}
    gate:
      - {{metric: exam/score, at_least: 0.5}}
      - {{metric: files/unsafe_files, at_most: 0}}
    promote: [staging, prod]
"""

WORKERS = {
    "io": ("worker", "--queues", "io", "--concurrency", "4"),
    "eval-1": ("worker", "--queues", "eval", "--concurrency", "1"),
    "eval-2": ("worker", "--queues", "eval", "--concurrency", "1"),
}


@dataclass(slots=True)
class Part:
    """A part that runs, or ran. `doomed` says that its death is no news. `told_at` is when it was
    asked to stop, in seconds since the epoch."""

    child: subprocess.Popen[bytes]
    doomed: bool = False
    killed: bool = False
    told_at: float | None = None
    died_at: float | None = None


class Deployment:
    """Web, io worker, two eval workers and the sweep, each started again when it died."""

    def __init__(self, folder: Path, hub: LocalHub, token: str, database: str, broker: str) -> None:
        self.folder, self.home = folder, folder / "home"
        self.journal = folder / "journal.jsonl"
        self.token = token
        config = folder / "proctor.yaml"
        config.write_text(RULES.format(journal=self.journal))
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        self.environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "PYTHONPATH": os.pathsep.join(map(str, (SOURCE, _installed(folder), PLUGIN))),
            "HF_ENDPOINT": hub.url,
            "HF_TOKEN": token,
            "HF_HUB_DISABLE_XET": "1",
            "PROCTOR_CONFIG": str(config),
            "PROCTOR_HOME": str(self.home),
            "PROCTOR_DATABASE_URL": database,
            "PROCTOR_BROKER_URL": broker,
            "PROCTOR_WEBHOOK_SECRETS": SECRET,
            "PROCTOR_HUB_TIMEOUT": "2",
            "PROCTOR_LEASE": "5",
            "PROCTOR_HEARTBEAT": "1",
            "PROCTOR_SWEEP_INTERVAL": "1",
            "PROCTOR_RECONCILE_INTERVAL": "2",
        }
        self._commands = {
            "web": ("web", "--port", str(self.port)),
            **WORKERS,
            "sweep": ("sweep",),
        }
        self.parts: dict[str, Part] = {}

    def begin(self) -> None:
        """Start every part; returns when the receiver answers."""
        for name in self._commands:
            self._start(name)
        until = time.monotonic() + 60
        while not self._answers():
            assert time.monotonic() < until, f"does not start; see {self.folder}/*.log"
            time.sleep(0.05)

    def keep(self, diary: Diary) -> None:
        """Start again what ended. The diary learns of those that were asked to, and of those that
        nobody asked nor killed."""
        for name, part in self.parts.items():
            status = part.child.poll()
            if status is None:
                continue
            if part.died_at is None:
                part.died_at = time.monotonic()
                if part.told_at is not None:
                    pid, now = part.child.pid, time.time()
                    diary.stopped.append(Stopped(name, pid, part.told_at, now, status, part.killed))
                elif not part.doomed:
                    diary.unasked.append((name, status))
            if time.monotonic() - part.died_at >= START_AGAIN:
                self._let_go(part)
                self._start(name)

    def kill(self, name: str) -> bool:
        """kill -9 of a part (of its one process); False when it is dead already."""
        part = self.parts[name]
        if part.child.poll() is not None:
            return False
        part.doomed = part.killed = True
        part.child.kill()
        return True

    def stop(self, name: str) -> bool:
        """TERM to a part; False when it is dead, or was asked to stop already."""
        part = self.parts[name]
        if part.child.poll() is not None or part.told_at is not None:
            return False
        part.told_at = time.time()
        part.child.terminate()
        return True

    def command(self, *arguments: str) -> str | None:
        """What `proctor ARGUMENTS` prints; None when it says no, or cannot now."""
        with suppress(subprocess.TimeoutExpired):
            done = subprocess.run(
                [sys.executable, "-m", "proctor", *arguments],
                env=self.environ,
                cwd=self.folder,
                capture_output=True,
                text=True,
                timeout=20,
                check=False,
            )
            return done.stdout if done.returncode == 0 else None
        return None

    def supervisors(self) -> list[psutil.Process]:
        """The supervisors of the evals that go on now."""
        return [p for p in self._below() if "proctor.checks.supervisor" in _words(p)]

    def sittings(self) -> list[psutil.Process]:
        """The evals that go on now."""
        return [p for p in self._below() if "chaos_sitting.py" in _words(p)]

    def end(self) -> list[str]:
        """Ask all parts to stop; returns the names of those that had to be killed."""
        for part in self.parts.values():
            part.doomed = True
            with suppress(ProcessLookupError):
                part.child.send_signal(signal.SIGCONT)
                part.child.terminate()
        late = []
        for name, part in self.parts.items():
            try:
                part.child.wait(30)
            except subprocess.TimeoutExpired:
                late.append(name)
                part.child.kill()
                part.child.wait()
            self._let_go(part)
        return late

    def _below(self) -> list[psutil.Process]:
        found = []
        for name in ("eval-1", "eval-2"):
            with suppress(psutil.Error):
                found += psutil.Process(self.parts[name].child.pid).children(recursive=True)
        return found

    def _start(self, name: str) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            child = subprocess.Popen(
                [sys.executable, "-m", "proctor", *self._commands[name], "--leashed"],
                env=self.environ,
                cwd=self.folder,
                stdin=subprocess.PIPE,  # so that nothing outlives the tests, however they end
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.parts[name] = Part(child)

    def _let_go(self, part: Part) -> None:
        if part.child.stdin is not None:
            part.child.stdin.close()

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self.port}/readyz", timeout=5
            ) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False


def _installed(folder: Path) -> Path:
    """A folder for PYTHONPATH in which the check `chaos` counts as installed."""
    site = folder / "site"
    told = site / "proctor_chaos-1.dist-info"
    told.mkdir(parents=True)
    (told / "METADATA").write_text("Metadata-Version: 2.1\nName: proctor-chaos\nVersion: 1\n")
    (told / "entry_points.txt").write_text("[proctor.checks]\nchaos = chaos_exam:ChaosExam\n")
    return site


def _words(process: psutil.Process) -> str:
    with suppress(psutil.Error):
        return " ".join(process.cmdline())
    return ""


def alive_in(folder: Path) -> list[str]:
    """The commands of processes (this one apart) with `folder` in command, environment or place
    that do not end within 5 s."""
    until = time.monotonic() + 5
    while True:
        found = [
            " ".join(told[0])
            for told in map(_told, psutil.process_iter())
            if any(str(folder) in each for part in told for each in part)
        ]
        if not found or time.monotonic() > until:
            return found
        time.sleep(0.1)


def _told(process: psutil.Process) -> list[list[str]]:
    """Command, place and environment of a process, as far as we may read them."""
    told: list[list[str]] = [[]]
    with suppress(psutil.Error):
        if process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE:
            told = [process.cmdline()]
            told.append([process.cwd()])
            told.append(list(process.environ().values()))
    return told
