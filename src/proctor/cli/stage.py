"""The demo's stage: a local Hub and `proctor up`, run as a user would run them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from huggingface_hub import HfApi

from proctor.cli.pictures import Facts
from proctor.core.errors import Refused, TransientError
from proctor.core.figure import figure
from proctor.flow import views
from proctor.localhub import LocalHub
from proctor.settings import Settings
from proctor.wiring import Wiring

START_WITHIN: Final = 60.0
"""Seconds for `proctor up` to be ready."""

INHERITED: Final = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV")
"""What the demo's processes get from the environment: nobody's tokens or databases."""

ENDS: Final = ("promoted", "held", "failed", "superseded")
"""How a run may end."""


@dataclass(slots=True)
class Watched:
    """A push that is followed: what should be `reached`, and what was, why and when."""

    name: str
    revision: str
    status: str
    reached: str = "waiting"
    why: str = ""
    verdict_after: float | None = None

    @property
    def as_expected(self) -> bool:
        """Whether the run ended as the demo says it should."""
        return self.reached == self.status


class Show:
    """The running demo, seen from outside: pushes through the API, reads from the ledger."""

    def __init__(
        self, hub: LocalHub, repo: str, token: str, port: int, folder: Path, config: Path
    ) -> None:
        self.hub_url = hub.url
        self.web_url = f"http://127.0.0.1:{port}"
        self._repo, self._token = repo, token
        self._folder, self._config = folder, config
        self.api = HfApi(endpoint=hub.url, token=token)
        self._wiring = Wiring(Settings.from_environment(self.variables()))
        self._process: subprocess.Popen[bytes] | None = None

    def variables(self) -> Mapping[str, str]:
        """What a user would set to look at this demo."""
        return {
            "HF_ENDPOINT": self.hub_url,
            "HF_TOKEN": self._token,
            "PROCTOR_HOME": str(self._folder / "home"),
            "PROCTOR_CONFIG": str(self._config),
        }

    def start(self, secret: str) -> None:
        """Start `proctor up` and wait until it is ready. Raises Refused with its last words."""
        log = self._folder / "proctor.log"
        environ = {name: os.environ[name] for name in INHERITED if name in os.environ}
        environ |= self.variables()
        environ["PROCTOR_WEBHOOK_SECRETS"] = secret
        with log.open("wb") as sink:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "proctor", "up", "--port", self.web_url.rpartition(":")[2]],
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        until = time.monotonic() + START_WITHIN
        while not self._ready():
            if self._process.poll() is not None or time.monotonic() > until:
                said = "\n".join(log.read_text(errors="replace").splitlines()[-10:])
                raise Refused(f"proctor up did not start:\n{said}")
            time.sleep(0.1)

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.web_url}/readyz", timeout=5) as answer:  # noqa: S310 - our own address
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def create(self) -> None:
        """Make the repo, and wait until its first commit (which holds no model) was looked at: a
        push that overtakes a run has to wait for others that may follow."""
        self.api.create_repo(self._repo)
        first = self.api.list_repo_commits(self._repo)[0].commit_id
        until = time.monotonic() + START_WITHIN
        while time.monotonic() < until:
            if any(run["status"] in ENDS for run in self._facts(first)["runs"]):
                return
            time.sleep(0.1)

    def push(self, checkpoint: Path, title: str) -> str:
        """Commit a checkpoint to main; returns the sha."""
        commit = self.api.upload_folder(
            repo_id=self._repo, folder_path=checkpoint, commit_message=title
        )
        return str(commit.oid)

    def tags(self) -> Mapping[str, str]:
        """The tags on the Hub now."""
        return {t.name: t.target_commit for t in self.api.list_repo_refs(self._repo).tags}

    def follow(
        self, watched: Watched, began: float, longest: float
    ) -> Iterator[tuple[float, str, str]]:
        """Until the run ends: (seconds since `began`, a line when something happened, what is
        waited for now)."""
        told: set[str] = set()
        while (seconds := time.monotonic() - began) < longest:
            facts = self._facts(watched.revision)
            for line in _lines(facts):
                if line not in told:
                    told.add(line)
                    yield seconds, line, "working"
            run = facts["runs"][0] if facts["runs"] else None
            if run:
                watched.reached, watched.why = run["status"], run["reason"]
                if run["verdict"] and watched.verdict_after is None:
                    watched.verdict_after = seconds
                if run["status"] in ENDS:
                    if run["status"] == "promoted":
                        watched.why = "; ".join(r["text"] for r in run["verdict"]["reasons"])
                    return
            yield seconds, "", _waiting(run)
            time.sleep(0.2)
        watched.why = f"no end within {longest:.0f} s"

    def _facts(self, revision: str) -> Facts:
        try:
            with self._wiring.ledger.view() as view:
                return views.why(view, self._repo, revision)
        except (Refused, TransientError):
            return {"events": [], "runs": []}

    def wait(self) -> None:
        """Until Ctrl-C, or until `proctor up` ends."""
        if self._process is not None:
            try:
                self._process.wait()
            except KeyboardInterrupt:
                return

    def stop(self) -> None:
        """Stop `proctor up` as Ctrl-C would."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(45)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._wiring.close()


@contextmanager
def open_show(folder: Path, fixtures: Path, repo: str, secret: str) -> Iterator[Show]:
    """A local Hub with an empty repo, a registered webhook and a running Proctor."""
    owner = repo.split("/", 1)[0]
    with ExitStack() as stack:
        hub = stack.enter_context(LocalHub(folder / "hub"))
        hub.create_org(owner)
        token = hub.create_user("demo", orgs=[owner])
        port = _free_port()
        show = Show(hub, repo, token, port, folder, fixtures / "pipelines" / "demo.yaml")
        stack.callback(show.stop)
        show.start(secret)
        show.api.create_webhook(
            url=f"{show.web_url}/webhooks/hub",
            watched=[{"type": "org", "name": owner}],
            domains=["repo", "discussion"],
            secret=secret,
        )
        show.create()
        yield show


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _lines(facts: Facts) -> Iterator[str]:
    for event in facts["events"]:
        if event["disposition"] not in ("pending", "echo"):
            yield f"{event['source']} {event['scope']}: {event['disposition']}"
    for run in facts["runs"]:
        for check in run["checks"]:
            evidence = check["evidence"]
            if evidence:
                shown = [f"{m['name']} {figure(m['value'])}" for m in evidence["metrics"][:2]]
                yield f"check {check['name']}: {evidence['error'] or ', '.join(shown)}"
        if run["verdict"]:
            yield f"verdict: {run['verdict']['result']}"
        for promotion in run["promotions"]:
            for operation in promotion["operations"]:
                yield f"{operation['kind']} tag {operation['tag']}"
            if promotion["ended_at"]:
                yield f"{promotion['stage']}: {promotion['status']}"


def _waiting(run: Facts | None) -> str:
    if run is None:
        return "waiting for the webhook"
    for check in run["checks"]:
        if check["evidence"] is None:
            return f"check {check['name']}"
    return str(run["status"])
