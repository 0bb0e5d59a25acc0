"""The command, run in this process as `main()` runs it, in an environment of its own."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest
from huggingface_hub import HfApi, close_session

from proctor.cli.main import main
from proctor.core.event import Event, RefUpdate
from proctor.core.names import RepoType, Revision
from proctor.flow.runs import plan_step
from proctor.localhub import LocalHub
from proctor.settings import Settings
from proctor.wiring import Wiring

T = TypeVar("T")

RULES = """\
stages:
  - {name: staging}
  - {name: prod, after: staging}
pipelines:
  - name: licences
    match: {repo: "acme/*"}
    checks: [{use: card, with: {licences: [mit]}}]
    gate: [{metric: card/license_allowed, at_least: 1}]
    promote: [staging, prod]
"""


@dataclass(frozen=True)
class Done:
    """What a command did: exit status, stdout, stderr."""

    status: int
    out: str
    err: str

    @property
    def facts(self) -> Any:
        """Stdout as JSON."""
        return json.loads(self.out)

    @property
    def line(self) -> str:
        """The one line of an error: nothing on stdout, no traceback."""
        lines = self.err.strip().splitlines()
        assert len(lines) == 1 and self.out == "", (self.out, self.err)
        assert lines[0].startswith("proctor: "), lines
        return lines[0].removeprefix("proctor: ")


@dataclass
class Cli:
    """A user's shell in an empty folder. `environ` is all that is set."""

    folder: Path
    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]
    environ: dict[str, str] = field(default_factory=dict)

    def __call__(self, *arguments: str, **more: str) -> Done:
        """`proctor ARGUMENTS`, with more variables."""
        with self.monkeypatch.context() as patched:
            for name in list(os.environ):
                patched.delenv(name)
            for name, value in {**self.environ, **more}.items():
                patched.setenv(name, value)
            patched.setattr(sys, "argv", ["proctor", *arguments])
            patched.chdir(self.folder)
            self.capsys.readouterr()
            status = 0
            try:
                main()
            except SystemExit as end:
                status = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
        said = self.capsys.readouterr()
        assert "Traceback" not in said.out + said.err, said.err
        return Done(status, said.out, said.err)

    def configured(self, rules: str = RULES) -> None:
        """Write proctor.yaml."""
        (self.folder / "proctor.yaml").write_text(rules)


@pytest.fixture
def cli(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Cli]:
    """A user with nothing set but a home, 80 columns wide."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers = []  # the command sets logging up as if the process were its own
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "COLUMNS": "80"}
    environ["PROCTOR_HOME"] = str(tmp_path / "home")
    yield Cli(tmp_path, monkeypatch, capsys, environ)
    root.handlers, root.level = handlers, level
    close_session()


Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """`proctor ARGUMENTS` as a process; what it says goes to ARGUMENTS[0].log."""
    started: list[subprocess.Popen[str]] = []

    def one(*arguments: str, environ: Mapping[str, str]) -> subprocess.Popen[str]:
        with (tmp_path / f"{arguments[0]}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "proctor", *arguments],
                env=dict(environ),
                cwd=tmp_path,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        started.append(process)
        return process

    yield one
    for process in started:
        process.kill()
        process.wait()


Until = Callable[[Callable[[], object], str], None]


@pytest.fixture
def until() -> Until:
    """Waits until something is true, 120 s at most."""

    def wait(true: Callable[[], object], what: str) -> None:
        end = time.monotonic() + 120
        while not true():
            assert time.monotonic() < end, f"waited in vain for {what}"
            time.sleep(0.05)

    return wait


@dataclass(frozen=True)
class Record:
    """A ledger with a past, made by real steps against a Local Hub that is gone now.

    `pushes` are the shas by what became of them; `twins` is a prefix of two of them."""

    home: Path
    pushes: Mapping[str, str]
    twins: str


REPO = "acme/bot"


@pytest.fixture(scope="session")
def record(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Record]:
    """The past: a push held, two promoted, and others until two shas begin alike."""
    folder = tmp_path_factory.mktemp("record")
    (folder / "proctor.yaml").write_text(RULES)
    with LocalHub(folder / "hub") as hub:
        token = hub.create_user("ana", orgs=["acme"])
        wiring = Wiring(
            Settings.from_environment(
                {
                    "HF_ENDPOINT": hub.url,
                    "HF_TOKEN": token,
                    "PROCTOR_CONFIG": str(folder / "proctor.yaml"),
                    "PROCTOR_HOME": str(folder / "home"),
                }
            )
        )
        person = _Person(HfApi(endpoint=hub.url, token=token), wiring)
        pushes = {
            "held": person.push("proprietary"),
            "before": person.push("mit"),
            "now": person.push("mit"),
        }
        shas = list(pushes.values())
        while len({sha[0] for sha in shas}) == len(shas):
            shas.append(person.push("proprietary"))
        wiring.close()
        yield Record(folder / "home", pushes, shas[-1][0] if len(shas) > 3 else _shared(shas))
    close_session()


def _shared(shas: Sequence[str]) -> str:
    firsts = [sha[0] for sha in shas]
    return next(f for f in firsts if firsts.count(f) > 1)


@dataclass(frozen=True)
class _Person:
    """Pushes, and does all that follows from it."""

    api: HfApi
    wiring: Wiring

    def push(self, licence: str) -> str:
        card = f"---\nlicense: {licence}\n---\n{time.time_ns()}\n".encode()
        self.api.create_repo(REPO, exist_ok=True)
        commit = self.api.upload_file(path_or_fileobj=card, path_in_repo="README.md", repo_id=REPO)
        repo = self.wiring.hub.find(RepoType.MODEL, REPO)
        ledger, clock = self.wiring.ledger, self.wiring.clock
        event = Event(
            id=clock.new_id(),
            identity=clock.new_id(),
            source="webhook",
            received_at=clock.now(),
            action="update",
            scope="repo.content",
            repo_type=repo.type,
            hub_id=repo.hub_id,
            repo_name=repo.name,
            updates=(RefUpdate("refs/heads/main", None, Revision(commit.oid)),),
            head=Revision(commit.oid),
        )
        with ledger.transaction() as tx:
            tx.add_event(event)
            tx.add_step(plan_step(clock, repo.hub_id))
        worker = self.wiring.worker(threading.Event())
        while due := ledger.due(clock.now()):
            worker.perform(due[0].id)
        return str(commit.oid)


@pytest.fixture
def past(cli: Cli, record: Record) -> Record:
    """The record, copied to where the command looks."""
    shutil.copytree(record.home, cli.environ["PROCTOR_HOME"])
    cli.configured()
    return record
