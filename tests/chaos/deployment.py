"""A whole deployment, seen by the storm: what runs, and what can be done to it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

import psutil
from tests.chaos.diary import Diary
from tests.chaos.schedule import WEIGHTS
from tests.ports import free_port

import proctor
from proctor.localhub import LocalHub

SECRET = "the webhook secret of the storms"
SOURCE = Path(proctor.__file__).parents[1]  # the parts are the code under test
PLUGIN = Path(__file__).with_name("plugin")
START_AGAIN = 0.2  # seconds from the death of what the driver started to its next life

PARTS = ("web", "io", "eval-1", "eval-2", "sweep")
EVALS = ("eval-1", "eval-2")
"""Workers have no children that work: their pool is threads (ADR 0006). What runs below one is an
eval and its supervisor."""

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


class Deployment(ABC):
    """Web, io worker, two eval workers and the sweep. They are expected to die."""

    weights: ClassVar[Mapping[str, float]] = WEIGHTS
    """What a storm over it is made of."""

    def __init__(self, folder: Path, hub: LocalHub, token: str, database: str, broker: str) -> None:
        self.folder, self.home = folder, folder / "home"
        self.journal = folder / "journal.jsonl"
        self.token = token
        config = folder / "proctor.yaml"
        config.write_text(RULES.format(journal=self.journal))
        self.port = free_port()
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

    def begin(self) -> None:
        """Start everything; returns when the receiver answers."""
        self._start_all()
        until = time.monotonic() + 180
        while not self._answers():
            assert time.monotonic() < until, f"does not start; see {self.folder}/*.log"
            time.sleep(0.05)

    @abstractmethod
    def keep(self, diary: Diary) -> None:
        """Start again what the driver started and what ended. The diary learns of what was asked
        to end, and of what did so by itself."""

    @abstractmethod
    def pid(self, name: str) -> int | None:
        """The process of a part; None when it does not run."""

    @abstractmethod
    def kill(self, name: str) -> bool:
        """kill -9 of a part (of its one process); False when it is dead already."""

    @abstractmethod
    def stop(self, name: str) -> bool:
        """TERM to a part; False when it is dead, or was asked to stop already."""

    @abstractmethod
    def stop_all(self) -> bool:
        """TERM, as a deployment of a new version sends it; False when there is nobody to ask."""

    def start_second(self, *, same_port: bool) -> Callable[[bool], None] | None:
        """Start all of it once more. Returns what ends that again, with kill -9 or with TERM; None
        where it is no single thing that can be started, or there are two already."""
        return None

    @abstractmethod
    def end(self) -> list[str]:
        """Ask all to stop; returns the names of those that had to be killed."""

    @abstractmethod
    def _start_all(self) -> None: ...

    def missing(self) -> list[str]:
        """The parts that do not run."""
        return [name for name in PARTS if self.pid(name) is None]

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

    def _below(self) -> list[psutil.Process]:
        found = []
        for name in EVALS:
            with suppress(psutil.Error):
                if (pid := self.pid(name)) is not None:
                    found += psutil.Process(pid).children(recursive=True)
        return found

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
    that do not end within 60 s."""
    until = time.monotonic() + 60
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
