"""The whole walk against a Hub that is not Proctor's own: real processes, models and evals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pytest
from huggingface_hub import HfApi, close_session
from tests.ports import free_port
from tests.walk_elsewhere.other_hub import OtherHub
from tests.walk_elsewhere.other_repos import OtherRepo

from proctor.settings import Settings
from proctor.wiring import Wiring

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("elsewhere")]

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures"
PROCTOR = str(Path(sys.executable).with_name("proctor"))
REPO = "acme/sums"
SECRET = "a secret between the other Hub and us"
PATIENCE = 180.0  # seconds for anything to happen on a busy machine
QUESTIONS = 100
ENDS = ("promoted", "held", "failed", "superseded")

T = TypeVar("T")


class Running:
    """`proctor up` with the demo's pipeline, pointed at the other Hub, and a person at it."""

    def __init__(self, folder: Path, hub: OtherHub) -> None:
        port = str(free_port())
        self.hub = hub
        self.environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "HF_ENDPOINT": hub.url,
            "HF_TOKEN": hub.token,
            "PROCTOR_CONFIG": str(_pipelines(folder)),
            "PROCTOR_HOME": str(folder / "home"),
            "PROCTOR_WEBHOOK_SECRETS": SECRET,
            "PROCTOR_PUBLIC_URL": f"http://127.0.0.1:{port}",
            "PROCTOR_SWEEP_INTERVAL": "1",
            # Webhooks are all that tells of a push, until a sweep is asked for.
            "PROCTOR_RECONCILE_INTERVAL": "3600",
        }
        self._folder, self.log = folder, folder / "proctor.log"
        with self.log.open("wb") as sink:
            self._up = subprocess.Popen(
                [PROCTOR, "up", "--port", port],
                env=self.environ,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                start_new_session=True,
            )
        self.wiring = Wiring(Settings.from_environment(self.environ))
        self.processes: list[psutil.Process] = []

    def ask(self, *arguments: str) -> Any:
        """The JSON that `proctor ARGUMENTS --json` prints; None where it refuses."""
        done = subprocess.run(
            [PROCTOR, *arguments, "--json"],
            env=self.environ,
            cwd=self._folder,
            capture_output=True,
            timeout=120,
            check=False,
        )
        return json.loads(done.stdout) if done.returncode == 0 else None

    def push(self, repo: OtherRepo | None, checkpoint: str, card: bytes = b"") -> OtherRepo:
        """Push a checkpoint, `card` added to its card; a repo that is not there is made so."""
        folder = FIXTURES / "checkpoints" / checkpoint
        files = {path.name: path.read_bytes() for path in folder.iterdir()}
        files["README.md"] += card
        if repo is None:
            return self.hub.repos.create("models", REPO, files=files)
        self.hub.repos.commit(repo, files, f"Push {checkpoint}")
        return repo

    def end_of(self, revision: str) -> Any:
        """What `proctor why` tells of a revision once its run came to an end and all is quiet."""

        def ended() -> bool:
            with self.wiring.ledger.view() as view:
                return not view.open_steps() and any(
                    run.revision == revision and run.status in ENDS for run in view.runs()
                )

        self.until(ended, f"the end of {revision[:8]}")
        return self.until(
            lambda: self.hub.post.idle and ended() and self.ask("why", f"{REPO}@{revision}"),
            "explanation",
        )

    def until(self, true: Callable[[], T | None], what: str) -> T:
        """What `true` gives once it gives something."""
        end = time.monotonic() + PATIENCE
        while not (found := true()):
            alive = self._up.poll() is None
            assert alive and time.monotonic() < end, f"no {what}: {self.log.read_text()[-4000:]}"
            time.sleep(0.1)
        return found

    def close(self) -> int:
        """Stop it as Ctrl-C would."""
        if self._up.poll() is None:
            self.processes = psutil.Process(self._up.pid).children(recursive=True)
            self._up.send_signal(signal.SIGINT)
        try:
            return self._up.wait(120)
        except subprocess.TimeoutExpired:
            self._up.kill()
            return self._up.wait()
        finally:
            self.wiring.close()


def _pipelines(folder: Path) -> Path:
    """The demo's pipelines, asking fewer questions."""
    told = (FIXTURES / "pipelines" / "demo.yaml").read_text()
    told = told.replace("../tasks", str(FIXTURES / "tasks"))
    asked = told.replace("batch_size: 64", f"batch_size: 64, limit: {QUESTIONS}")
    assert asked != told
    written = folder / "proctor.yaml"
    written.write_text(asked)
    return written


@dataclass
class Walked:
    """What is left of the walk: shas and records by push, tags after each, and what was said."""

    shas: dict[str, str] = field(default_factory=dict)
    why: dict[str, Any] = field(default_factory=dict)
    tags: dict[str, Mapping[str, str]] = field(default_factory=dict)
    missed: Any = None
    unknown_before: Any = None
    doctor: Any = None
    statuses: list[int] = field(default_factory=list)
    status: int = -1
    left: list[psutil.Process] = field(default_factory=list)
    words: str = ""
    token_at_storage: bool = True


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walked]:
    """weak, good, regressed (whose webhook never comes), better, and a rollback from better."""
    seen = Walked()
    with OtherHub() as hub:
        running = Running(tmp_path_factory.mktemp("elsewhere"), hub)
        try:
            _walk(running, seen)
        finally:
            seen.status = running.close()
            seen.words = running.log.read_text()
            close_session()
        seen.left = psutil.wait_procs(running.processes, timeout=60)[1]
        (webhook,) = hub.post.subscriptions
        seen.statuses, seen.token_at_storage = webhook.answered, hub.token_at_storage
    yield seen


def _walk(running: Running, seen: Walked) -> None:
    hub, public = running.hub, running.environ["PROCTOR_PUBLIC_URL"]
    running.until(lambda: "listening on" in running.log.read_text(), "receiver")
    # The sweep looks once at the start: it must find nothing yet.
    running.until(lambda: hub.listed, "first comparison")
    api = HfApi(endpoint=hub.url, token=hub.token)
    api.create_webhook(
        url=f"{public}/webhooks/hub",
        watched=[{"type": "org", "name": "acme"}],
        domains=["repo"],
        secret=SECRET,
    )
    seen.doctor = running.ask("doctor")
    repo = None
    for push, checkpoint in (("weak", "weak"), ("good", "good")):
        repo = running.push(repo, checkpoint)
        _note(running, seen, push, repo)
    assert repo is not None

    hub.post.withheld = True
    running.push(repo, "regressed")
    hub.post.withheld = False
    seen.unknown_before = running.ask("why", f"{REPO}@{repo.at('main').oid}")
    seen.missed = running.ask("sweep", "--once")["drift"]["missed"]
    _note(running, seen, "regressed", repo)

    running.push(repo, "good", b"\nThe same again, with another card.\n")
    _note(running, seen, "better", repo)
    assert running.ask("rollback", REPO, "prod", "--by", "ana")
    good = seen.shas["good"]

    def rolled_back() -> bool:
        (told,) = running.ask("status")["repos"]
        there = told["stages"]["prod"] == good and _tags(repo).get("prod") == good
        return bool(there and hub.post.idle)  # a receiver that stops would miss the rest

    running.until(rolled_back, "rollback on record")
    seen.tags["rollback"] = _tags(repo)


def _note(running: Running, seen: Walked, push: str, repo: OtherRepo) -> None:
    seen.shas[push] = repo.at("main").oid
    seen.why[push] = running.end_of(seen.shas[push])
    seen.tags[push] = _tags(repo)


def _tags(repo: OtherRepo) -> Mapping[str, str]:
    return {
        ref.removeprefix("refs/tags/"): oid
        for ref, oid in list(repo.refs.items())
        if ref.startswith("refs/tags/")
    }


def test_each_push_ends_where_it_should(walked: Walked) -> None:
    ends = {push: why["runs"][0]["status"] for push, why in walked.why.items()}
    assert ends == {"weak": "held", "good": "promoted", "regressed": "held", "better": "promoted"}
    good, better = walked.shas["good"], walked.shas["better"]
    in_prod = {"staging": good, "prod": good, "prod-1": good}
    assert walked.tags["weak"] == {}
    assert walked.tags["good"] == walked.tags["regressed"] == in_prod
    moved = {"staging": better, "prod": better, "prod-1": good, "prod-2": better}
    assert walked.tags["better"] == moved
    assert walked.tags["rollback"] == {**moved, "prod": good, "prod-3": good}


@pytest.mark.parametrize("push", ["weak", "good", "regressed", "better"])
def test_why_explains_each(walked: Walked, push: str) -> None:
    why = walked.why[push]
    (run,) = why["runs"]
    exam = next(c["evidence"] for c in run["checks"] if c["name"] == "exam")
    (accuracy,) = [m for m in exam["metrics"] if m["name"] == "arith/acc"]
    assert accuracy["n"] == QUESTIONS
    passed = push in ("good", "better")
    assert run["verdict"]["result"] == ("pass" if passed else "fail")
    told = [r["text"] for r in run["verdict"]["reasons"]]
    assert any(f"exam/arith/acc is {accuracy['value']:.4g}" in text for text in told)
    stages = [(p["stage"], p["status"]) for p in run["promotions"]]
    assert stages == ([("staging", "done"), ("prod", "done")] if passed else [])
    by = {event["source"] for event in why["events"] if run["id"] in event["reason"]}
    assert by == ({"sweep"} if push == "regressed" else {"webhook"})


def test_a_webhook_that_never_came_is_made_up_for(walked: Walked) -> None:
    assert walked.unknown_before is None
    assert walked.missed == [REPO]


@pytest.mark.parametrize(("push", "release"), [("good", "prod-1"), ("better", "prod-2")])
def test_own_tag_moves_are_known_again(walked: Walked, push: str, release: str) -> None:
    events = walked.why[push]["events"]
    echoes = {e["reason"] for e in events if e["disposition"] == "echo"}
    assert echoes >= {
        f"our own create of tag {tag} came back" for tag in ("staging", "prod", release)
    }
    others = {e["disposition"] for e in events} - {"echo"}
    assert others <= {"ran", "unchanged", "coalesced"}


def test_scopes_that_nobody_knows_yet_are_read_as_wider_ones(walked: Walked) -> None:
    scopes = {event["scope"] for why in walked.why.values() for event in why["events"]}
    assert scopes <= {"repo", "repo.content"}


def test_every_delivery_was_taken(walked: Walked) -> None:
    assert set(walked.statuses) == {202}
    assert len(walked.statuses) > 10


def test_the_doctor_finds_all_in_order(walked: Walked) -> None:
    assert walked.doctor is not None
    assert {each["state"] for each in walked.doctor} == {"good"}, walked.doctor


def test_it_ends_well_and_keeps_its_secrets(walked: Walked) -> None:
    assert walked.status == 0 and walked.left == []
    assert "Traceback" not in walked.words
    assert not walked.token_at_storage
    assert OtherHub.token not in walked.words and SECRET not in walked.words
