"""A newer push ends the eval of the older one: a real worker, lm-eval and its supervisor."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pytest
from huggingface_hub import HfApi

from proctor.core.errors import Refused
from proctor.core.event import Event, RefUpdate
from proctor.core.names import RepoType, Revision
from proctor.core.planning import SETTLE
from proctor.flow import views
from proctor.flow.runs import plan_step
from proctor.localhub import LocalHub
from proctor.settings import Settings
from proctor.wiring import Wiring

FIXTURES = Path(__file__).parents[2] / "fixtures"
REPO, MAIN = "acme/sums", "refs/heads/main"
SECONDS = 60.0  # from the push to the end of the older eval, which sleeps for 300

RULES = """
stages: [{name: staging}]
pipelines:
  - name: sums
    match: {repo: "acme/*"}
    checks:
      - use: lm-eval
        name: exam
        with: {tasks: [arith], include_path: tasks, limit: 5}
    gate: [{metric: exam/arith/acc, at_least: 0.8}]
    promote: [staging]
"""

SLOW = """
import os, signal, subprocess, sys, time

def look(doc):
    # One child goes away into a session of its own and is deaf to TERM.
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(300)"
    subprocess.Popen([sys.executable, "-c", deaf], start_new_session=True)
    time.sleep(300)
    return doc["question"]
"""

T = TypeVar("T")


@dataclass(frozen=True)
class World:
    """A Local Hub, a record, and a worker process."""

    folder: Path
    api: HfApi
    wiring: Wiring
    worker: subprocess.Popen[bytes]

    def push(self, checkpoint: str) -> Revision:
        """Commit a checkpoint, and record what the webhook would tell."""
        folder = FIXTURES / "checkpoints" / checkpoint
        sha = Revision(self.api.upload_folder(repo_id=REPO, folder_path=folder).oid)
        repo = self.wiring.hub.find(RepoType.MODEL, REPO)
        clock = self.wiring.clock
        event = Event(
            id=clock.new_id(),
            identity=sha,
            source="webhook",
            received_at=clock.now(),
            action="update",
            scope="repo.content",
            repo_type=repo.type,
            hub_id=repo.hub_id,
            repo_name=repo.name,
            updates=(RefUpdate(MAIN, None, sha),),
        )
        with self.wiring.ledger.transaction() as tx:
            tx.add_event(event)
            step = tx.add_step(plan_step(clock, repo.hub_id))
        assert self.wiring.queue.wake(step)
        return sha

    def why(self, revision: Revision) -> Any:
        """What `proctor why --json` tells of the one run of a revision; None while there is
        none."""
        with suppress(Refused), self.wiring.ledger.view() as view:
            runs: Any = views.why(view, REPO, revision)["runs"]
            return runs[0] if runs else None

    def family(self) -> list[psutil.Process]:
        """All that runs for an eval: by its environment, as children may leave their group."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                home = process.environ().get("HOME", "")
                if home.startswith(str(self.folder / "home" / "work")):
                    found.append(process)
        return [p for p in found if p.status() != psutil.STATUS_ZOMBIE]

    def until(self, true: Callable[[], T | None], seconds: float = 240.0) -> T:
        """What `true` gives once it gives something."""
        end = time.monotonic() + seconds
        while not (found := true()):
            said = (self.folder / "worker.log").read_text()
            assert time.monotonic() < end, f"waited in vain:\n{said}"
            time.sleep(0.05)
        return found


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    tasks = Path(shutil.copytree(FIXTURES / "tasks" / "arith", tmp_path / "tasks"))
    (tasks / "slow.py").write_text(SLOW, encoding="utf-8")
    task = (tasks / "arith.yaml").read_text(encoding="utf-8")
    slow = task.replace('doc_to_text: "{{question}}"', "doc_to_text: !function slow.look")
    assert slow != task
    (tasks / "arith.yaml").write_text(slow, encoding="utf-8")
    (tmp_path / "proctor.yaml").write_text(RULES, encoding="utf-8")
    with LocalHub(tmp_path / "hub") as hub:
        hub.create_org("acme")
        token = hub.create_user("ana", orgs=["acme"])
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "HF_ENDPOINT": hub.url,
            "HF_TOKEN": token,
            "PROCTOR_CONFIG": str(tmp_path / "proctor.yaml"),
            "PROCTOR_HOME": str(tmp_path / "home"),
        }
        api = HfApi(endpoint=hub.url, token=token)
        api.create_repo(REPO)
        wiring = Wiring(Settings.from_environment(environ))
        _ = wiring.ledger
        with (tmp_path / "worker.log").open("wb") as log:
            worker = subprocess.Popen(
                [sys.executable, "-m", "proctor", "worker", "--concurrency", "2"],
                env=environ,
                cwd=tmp_path,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            yield World(tmp_path, api, wiring, worker)
        finally:
            worker.terminate()
            worker.wait(120)
            wiring.close()


def commands(family: Sequence[psutil.Process]) -> list[str]:
    """What they were started as; of one that is gone, nothing."""
    found = []
    for process in family:
        with suppress(psutil.Error):
            found.append(" ".join(process.cmdline()))
    return found


@pytest.mark.slow
def test_a_newer_push_ends_the_older_eval_within_seconds(world: World) -> None:
    first = world.push("good")
    world.until(lambda: any("SIG_IGN" in c for c in commands(world.family())) or None)
    family = world.family()
    assert any("lm_eval.harness" in c for c in commands(family)), commands(family)
    assert world.why(first)["status"] == "checking"

    began = time.monotonic()
    second = world.push("weak")
    world.until(lambda: not any(p.is_running() for p in family) or None, SECONDS)
    assert time.monotonic() - began < SECONDS

    world.until(lambda: world.why(first)["steps"] == [] or None)  # its worker has told, too
    older = world.why(first)
    reason = f"superseded by {second[:8]}"
    assert (older["status"], older["reason"]) == ("superseded", reason)
    (exam,) = older["checks"]
    assert exam["status"] == "cancelled" and exam["evidence"] is None
    assert [a["outcome"] for a in exam["attempts"]] == [f"cancelled: {reason}"]
    newer = world.why(second)
    if world.wiring.clock.now() < older["begins_at"] + SETTLE:  # all this may take longer
        assert newer["status"] == "planned"  # pushes that may follow share its eval
        assert newer["begins_at"] > newer["created_at"]
    assert world.worker.poll() is None
    assert not (world.folder / "home" / "artifacts").exists() or not [
        p for p in (world.folder / "home" / "artifacts").rglob("*") if p.is_file()
    ]
