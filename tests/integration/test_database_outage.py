"""The database restarts or is locked under running processes: they go on by themselves."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import pytest
from huggingface_hub import HfApi

from proctor.core.errors import LedgerUnavailable
from proctor.core.names import RepoType, Revision
from proctor.core.run import RunStatus, Step
from proctor.flow.runs import plan_step
from proctor.localhub import LocalHub
from proctor.settings import Settings
from proctor.wiring import Wiring

pytestmark = pytest.mark.slow

REPO = "acme/bot"
RULES = """
stages: [{name: staging}]
pipelines:
  - name: licences
    match: {repo: "acme/*"}
    checks: [{use: card, with: {licences: [mit]}}]
    gate: [{metric: card/license_allowed, at_least: 1}]
    promote: [staging]
"""


class Postgres(Protocol):
    """The server of the fixture `postgres_server`."""

    def start(self) -> None: ...
    def stop(self) -> None: ...


@dataclass
class Running:
    """A worker and a sweep as processes of their own, and a person who pushes."""

    folder: Path
    api: HfApi
    wiring: Wiring
    parts: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    start: Callable[[], None] = lambda: None

    def push(self) -> tuple[Revision, Step]:
        """Commit, and ask for a look; nobody is woken for it."""
        card = f"---\nlicense: mit\n---\n{time.time_ns()}\n".encode()
        commit = self.api.upload_file(path_or_fileobj=card, path_in_repo="README.md", repo_id=REPO)
        repo = self.wiring.hub.find(RepoType.MODEL, REPO)
        with self.wiring.ledger.transaction() as tx:
            step = tx.add_step(plan_step(self.wiring.clock, repo.hub_id))
        return Revision(commit.oid), step

    def walk(self) -> None:
        """Push, and see it promoted."""
        sha, step = self.push()
        assert self.wiring.queue.wake(step)
        self.until(lambda: self.promoted(sha))

    def promoted(self, revision: Revision) -> bool:
        """Whether it reached its stage."""
        try:
            with self.wiring.ledger.view() as view:
                runs = view.runs(revision=revision)
        except LedgerUnavailable:
            return False
        return [r.status for r in runs] == [RunStatus.PROMOTED]

    def alive(self) -> bool:
        """Whether no process has ended."""
        return all(part.poll() is None for part in self.parts.values())

    def log(self, name: str) -> str:
        """What a part said."""
        return (self.folder / f"{name}.log").read_text()

    def until(self, true: Callable[[], bool], seconds: float = 120.0) -> None:
        """Wait until it is true."""
        end = time.monotonic() + seconds
        while not true():
            said = "\n".join(self.log(name) for name in self.parts)
            assert time.monotonic() < end and self.alive(), f"waited in vain:\n{said}"
            time.sleep(0.05)


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[[str], Running]]:
    """Starts the parts on a database."""
    (tmp_path / "proctor.yaml").write_text(RULES)
    with ExitStack() as stack:
        hub = stack.enter_context(LocalHub(tmp_path / "hub"))
        hub.create_org("acme")
        token = hub.create_user("ana", orgs=["acme"])

        def start(database: str) -> Running:
            environ = {
                "PATH": os.environ["PATH"],
                "HOME": str(tmp_path),
                "HF_ENDPOINT": hub.url,
                "HF_TOKEN": token,
                "PROCTOR_CONFIG": str(tmp_path / "proctor.yaml"),
                "PROCTOR_HOME": str(tmp_path / "home"),
                "PROCTOR_DATABASE_URL": database,
                "PROCTOR_LEASE": "5",
                "PROCTOR_HEARTBEAT": "1",
                "PROCTOR_SWEEP_INTERVAL": "1",
            }
            api = HfApi(endpoint=hub.url, token=token)
            api.create_repo(REPO)
            wiring = Wiring(Settings.from_environment(environ))
            stack.callback(wiring.close)
            _ = wiring.ledger
            running = Running(tmp_path, api, wiring)
            running.start = lambda: _start(running, environ, stack)
            running.start()
            running.walk()
            return running

        yield start


def _start(running: Running, environ: dict[str, str], stack: ExitStack) -> None:
    for name in ("worker", "sweep"):
        with (running.folder / f"{name}.log").open("wb") as log:
            part = subprocess.Popen(
                [sys.executable, "-m", "proctor", name],
                env=environ,
                cwd=running.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        running.parts[name] = part
        stack.callback(_end, part)


def _end(part: subprocess.Popen[bytes]) -> None:
    part.terminate()
    part.wait(120)


def test_postgresql_restarts_under_worker_and_sweep(
    run: Callable[[str], Running], postgres_server: Postgres, postgres_url: str
) -> None:
    running = run(postgres_url)
    sha, _ = running.push()  # the sweep has to find it
    postgres_server.stop()
    try:
        running.until(lambda: "the database cannot serve now" in running.log("sweep"))
    finally:
        postgres_server.start()
    running.until(lambda: running.promoted(sha))
    running.walk()
    assert running.alive()
    assert "Traceback" not in running.log("worker") + running.log("sweep")


def test_parts_that_start_while_postgresql_is_away_wait_for_it(
    run: Callable[[str], Running], postgres_server: Postgres, postgres_url: str
) -> None:
    running = run(postgres_url)
    for part in running.parts.values():
        _end(part)
    postgres_server.stop()
    try:
        running.start()
        running.until(lambda: all("trying again" in running.log(n) for n in running.parts))
    finally:
        postgres_server.start()
    running.walk()
    assert running.alive()


def test_sqlite_is_locked_for_longer_than_anyone_waits(
    run: Callable[[str], Running], tmp_path: Path
) -> None:
    file = tmp_path / "ledger.db"
    running = run(f"sqlite:///{file}")
    sha, step = running.push()
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("PRAGMA busy_timeout = 5000")
        connection.execute("BEGIN IMMEDIATE")
        assert running.wiring.queue.wake(step)
        running.until(lambda: "cannot claim" in running.log("worker"))
        connection.execute("ROLLBACK")
    running.until(lambda: running.promoted(sha))
    running.walk()
    assert running.alive()
    assert "Traceback" not in running.log("worker") + running.log("sweep")
