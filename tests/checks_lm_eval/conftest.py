"""Real models, good and broken, and what both a naive runner and ours say of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from proctor.checks.lm_eval import environment
from proctor.checks.lm_eval.check import LmEval
from proctor.core.evidence import Findings
from proctor.core.names import Repo, RepoType, Revision
from proctor.core.registry import Description
from proctor.ports.check import Room, Subject

FIXTURES = Path(__file__).parents[2] / "fixtures"
REVISION = Revision("0123456789abcdef0123456789abcdef01234567")


@dataclass
class Place:
    """A room with its folders, and what was told to people."""

    folder: Path
    snapshot: Path
    base: Path = FIXTURES
    cancelled: Callable[[], bool] = lambda: False
    told: list[tuple[int, int, str]] = field(default_factory=list)

    @property
    def artifacts(self) -> Path:
        return self.folder / "artifacts"

    def room(self) -> Room:
        work = self.folder / "attempt" / "work"
        work.mkdir(parents=True)
        self.artifacts.mkdir()
        return Room(
            work=work,
            artifacts=self.artifacts,
            base=self.base,
            snapshot=lambda: self.snapshot,
            cancelled=lambda: self.cancelled(),
            progress=lambda done, total, what: self.told.append((done, total, what)),
        )

    def measure(self, **parameters: Any) -> Findings:
        wanted = {"tasks": ["arith"], "include_path": "tasks/", "batch_size": 64} | parameters
        check = LmEval(LmEval.Parameters.model_validate(wanted))
        subject = Subject(
            Repo("1", RepoType.MODEL, "acme/sums"), REVISION, Description(revision=REVISION)
        )
        return check.measure(subject, self.room())


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A room with the good checkpoint as its snapshot."""
    return Place(tmp_path, FIXTURES / "checkpoints" / "good")


@dataclass(frozen=True)
class Measured:
    """What one check of a shipped checkpoint brought."""

    findings: Findings
    place: Place
    seconds: float


@pytest.fixture(scope="session")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Measured]:
    """Both tasks, all 600 documents, for a shipped checkpoint; each is measured once."""
    known: dict[str, Measured] = {}

    def measure(name: str) -> Measured:
        if name not in known:
            place = Place(tmp_path_factory.mktemp(name), FIXTURES / "checkpoints" / name)
            began = time.monotonic()
            findings = place.measure(tasks=["arith", "arith_gen"])
            known[name] = Measured(findings, place, time.monotonic() - began)
        return known[name]

    return measure


@pytest.fixture(scope="session")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What a naive runner and ours make of the broken cases of `cases.py`, by name.

    One process runs them all: importing the harness costs more than evaluating.
    """
    home = tmp_path_factory.mktemp("cases")
    environment.prepare(home)
    ours = environment.of_the_eval(os.environ, home)
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("cases.py")), str(FIXTURES), str(home)],
        env=ours,
        cwd=home,
        capture_output=True,
        text=True,
        timeout=800,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    yield json.loads((home / "told.json").read_text(encoding="utf-8"))
