"""What end-to-end tests share: a census of processes, a search for secrets, a deployment."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, TypeVar

import psutil
import pytest
from huggingface_hub import HfApi
from sqlalchemy import create_engine, text
from tests.ports import free_port

from proctor.core.errors import Refused
from proctor.flow import views
from proctor.localhub import DeliveryPolicy, LocalHub
from proctor.settings import Settings
from proctor.wiring import Wiring

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures"
PROCTOR = str(Path(sys.executable).with_name("proctor"))
SECRET = "the end-to-end webhook secret"
PATIENCE = 180.0  # seconds for anything to happen on a busy machine

RULES = f"""
stages:
  - {{name: staging}}
  - {{name: prod, after: staging}}
pipelines:
  - name: sums
    match: {{repo: "acme/sums*"}}
    checks:
      - {{use: files, with: {{formats: [safetensors]}}}}
      - use: lm-eval
        name: exam
        needs: [files]
        with:
          {{tasks: [arith], include_path: "{FIXTURES}/tasks/arith", limit: 20, batch_size: 64}}
    gate:
      - {{metric: files/unsafe_files, at_most: 0}}
      - {{metric: exam/arith/acc, at_least: 0.8}}
    promote: [staging, prod]
  - name: broken-task
    match: {{repo: "acme/broken-task"}}
    checks:
      - {{use: lm-eval, name: exam, with: {{tasks: [bent], include_path: tasks, limit: 2}}}}
    gate: [{{metric: exam/bent/acc, at_least: 0.8}}]
    promote: [staging]
  - name: licences
    match: {{repo: "acme/card-*"}}
    checks: [{{use: card, with: {{licences: [mit]}}}}]
    gate: [{{metric: card/license_allowed, at_least: 1}}]
    promote: [staging, prod]
"""

BENT_TASK = """
task: bent
dataset_path: json
dataset_kwargs: {data_files: {test: no-such-file.jsonl}}
output_type: multiple_choice
test_split: test
doc_to_text: "{{question}}"
doc_to_choice: choices
doc_to_target: answer
metric_list: [{metric: acc}]
"""

PARTS = {
    "io": ("worker", "--queues", "io", "--concurrency", "4"),
    "eval-1": ("worker", "--queues", "eval"),
    "eval-2": ("worker", "--queues", "eval"),
    "sweep": ("sweep",),
}

Facts = dict[str, Any]
T = TypeVar("T")


class Postgres(Protocol):
    """What is needed of the server."""

    def url(self, name: str) -> str: ...
    def new_database(self) -> str: ...
    def drop_database(self, name: str) -> None: ...


class Deployment:
    """A running deployment, and a person's hands on it."""

    def __init__(self, folder: Path, hub: LocalHub, database: str, broker: str) -> None:
        self.folder, self.hub, self.redis_url = folder, hub, broker
        hub.create_org("acme")
        self.token = hub.create_user("ana", orgs=["acme"])
        self.api = HfApi(endpoint=hub.url, token=self.token)
        (folder / "tasks").mkdir()
        (folder / "tasks" / "bent.yaml").write_text(BENT_TASK)
        (folder / "proctor.yaml").write_text(RULES)
        self.environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "HF_ENDPOINT": hub.url,
            "HF_TOKEN": self.token,
            "PROCTOR_CONFIG": str(folder / "proctor.yaml"),
            "PROCTOR_HOME": str(folder / "home"),
            "PROCTOR_DATABASE_URL": database,
            "PROCTOR_BROKER_URL": broker,
            "PROCTOR_WEBHOOK_SECRETS": SECRET,
            "PROCTOR_LEASE": "5",
            "PROCTOR_HEARTBEAT": "1",
            "PROCTOR_SWEEP_INTERVAL": "1",
        }
        self.parts: dict[str, subprocess.Popen[bytes]] = {}
        self.wiring = Wiring(Settings.from_environment(self.environ))
        self.webhook = ""

    def begin(self) -> None:
        """Start every part and register the webhook."""
        port = free_port()
        self.start("web", "web", "--port", str(port))
        for name, arguments in PARTS.items():
            self.start(name, *arguments)
        self.until(lambda: _answers(f"http://127.0.0.1:{port}/readyz"), "the receiver")
        self.webhook = self.api.create_webhook(
            url=f"http://127.0.0.1:{port}/webhooks/hub",
            watched=[{"type": "org", "name": "acme"}],
            domains=["repo"],
            secret=SECRET,
        ).id

    def start(self, name: str, *arguments: str) -> None:
        """Start a part; without arguments: as it was started first."""
        with (self.folder / f"{name}.log").open("ab") as log:
            self.parts[name] = subprocess.Popen(
                [PROCTOR, *(arguments or PARTS[name])],
                env=self.environ,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def end(self, name: str, how: signal.Signals = signal.SIGTERM) -> int:
        """End a part and wait for it; its exit status."""
        self.parts[name].send_signal(how)
        return self.parts[name].wait(120)

    def close(self) -> Mapping[str, int]:
        """Stop all that runs, in no order; the exit statuses."""
        for part in self.parts.values():
            part.terminate()
        statuses = {name: part.wait(120) for name, part in self.parts.items()}
        self.wiring.close()
        return statuses

    def make(self, repo: str) -> None:
        """A repo, once its first commit, which holds nothing, was looked at: a push that overtook
        the run of it would be put off."""
        self.api.create_repo(repo)
        self.run_at(repo, self.api.list_repo_commits(repo)[0].commit_id, "held")

    def push(self, repo: str, **files: str | bytes) -> str:
        """Commit files (as README__md="…") to main of a repo, made when missing; the sha."""
        if not self.api.repo_exists(repo):
            self.make(repo)
        folder = self.folder / "pushed"
        folder.mkdir(exist_ok=True)
        for name, written in files.items():
            path = folder / name.replace("__", ".")
            path.write_bytes(written if isinstance(written, bytes) else written.encode())
        commit = self.api.upload_folder(repo_id=repo, folder_path=folder)
        for path in folder.iterdir():
            path.unlink()
        return str(commit.oid)

    def push_card(self, repo: str, licence: str = "mit") -> str:
        """A revision that the cheap pipeline passes (or not); each one differs."""
        return self.push(repo, README__md=f"---\nlicense: {licence}\n---\n{time.time_ns()}\n")

    def push_model(self, repo: str, **instead: bytes) -> str:
        """The good checkpoint, each time another commit; `instead` replaces files."""
        good = FIXTURES / "checkpoints" / "good"
        files = {p.name.replace(".", "__"): p.read_bytes() for p in good.iterdir()}
        files["README__md"] += str(time.time_ns()).encode()
        return self.push(repo, **(files | instead))

    def tags(self, repo: str) -> dict[str, str]:
        """The tags on the Hub now."""
        return {t.name: t.target_commit for t in self.api.list_repo_refs(repo).tags}

    def why(self, repo: str, revision: str | None = None) -> Facts:
        """What `proctor why` knows; {"runs": []} while it knows nothing."""
        try:
            with self.wiring.ledger.view() as view:
                return views.why(view, repo, revision)
        except Refused:
            return {"runs": [], "events": [], "holds": []}

    def run_at(self, repo: str, revision: str, *statuses: str) -> Facts:
        """The newest run of the revision, once it has one of the statuses."""

        def there() -> Facts | None:
            runs = self.why(repo, revision)["runs"]
            return runs[0] if runs and runs[0]["status"] in statuses else None

        return self.until(there, f"{repo}@{revision[:8]} {' or '.join(statuses)}")

    def until(self, true: Callable[[], T | None], what: str) -> T:
        """What `true` gives once it gives something."""
        end = time.monotonic() + PATIENCE
        while not (found := true()):
            assert time.monotonic() < end, f"waited in vain for {what}; see {self._words()}"
            time.sleep(0.05)
        return found

    def command(self, *arguments: str, status: int = 0) -> str:
        """What `proctor ARGUMENTS` prints; its exit status has to be as said."""
        done = subprocess.run(
            [PROCTOR, *arguments],
            env=self.environ,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr

    def facts(self, *arguments: str) -> Any:
        """The JSON that `proctor ARGUMENTS --json` prints."""
        return json.loads(self.command(*arguments, "--json"))

    def count(self, statement: str, **values: str) -> int:
        """The one number that a SQL statement gives."""
        engine = create_engine(self.environ["PROCTOR_DATABASE_URL"])
        try:
            with engine.connect() as connection:
                return int(connection.execute(text(statement), values).scalar_one())
        finally:
            engine.dispose()

    def _words(self) -> str:
        logs = sorted(self.folder.glob("*.log"))
        return "\n".join(f"{p.name}: {p.read_text()[-1500:]}" for p in logs)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - our own address
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def processes_of(folder: Path) -> list[psutil.Process]:
    """Every process, this one apart, with `folder` in its command, environment or place, as far
    as this user may look."""
    return [
        process
        for process in psutil.process_iter()
        if process.pid != os.getpid() and any(str(folder) in each for each in _told(process))
    ]


def _told(process: psutil.Process) -> Iterator[str]:
    """What a process says of itself; a worker shows its environment to root only."""
    with suppress(psutil.Error):
        yield from process.cmdline()
    with suppress(psutil.Error):
        yield process.cwd()
    with suppress(psutil.Error):
        yield from process.environ().values()


@pytest.fixture(scope="session")
def still_alive() -> Callable[[Path], list[str]]:
    """The commands of the processes of a folder that do not end within 60 s: [] is good."""

    def left(folder: Path) -> list[str]:
        end = time.monotonic() + 60
        while (alive := processes_of(folder)) and time.monotonic() < end:
            time.sleep(0.05)
        told = []
        for process in alive:
            with suppress(psutil.Error):
                told.append(" ".join(process.cmdline()))
        return told

    return left


@pytest.fixture(scope="session")
def holding() -> Callable[[Path, str], list[str]]:
    """The files at or below a path whose bytes hold a word."""

    def found(path: Path, word: str) -> list[str]:
        assert word and path.exists()
        files = [path] if path.is_file() else [p for p in sorted(path.rglob("*")) if p.is_file()]
        return [str(p) for p in files if word.encode() in p.read_bytes()]

    return found


@pytest.fixture(scope="session")
def deployment(
    tmp_path_factory: pytest.TempPathFactory,
    postgres_server: Postgres,
    redis_server: str,
    still_alive: Callable[[Path], list[str]],
) -> Iterator[Deployment]:
    """All parts of Proctor as processes of their own, on PostgreSQL and Redis, and a Local Hub."""
    folder = tmp_path_factory.mktemp("deployment")
    name = postgres_server.new_database()
    with LocalHub(folder / "hub", deliveries=DeliveryPolicy(first_wait_s=0.2)) as hub:
        broker = redis_server.removesuffix("/0") + "/3"  # other tests empty theirs
        deployed = Deployment(folder, hub, postgres_server.url(name), broker)
        try:
            deployed.begin()
            yield deployed
        finally:
            statuses = deployed.close()
    postgres_server.drop_database(name)
    assert set(statuses.values()) == {0}, statuses
    assert still_alive(folder / "home") == []
