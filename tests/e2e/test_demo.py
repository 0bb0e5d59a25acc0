"""The demo as a newcomer runs it: nothing set, nothing left behind, nothing leaked."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from huggingface_hub import HfApi

from proctor.localhub import LocalHub

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("demo")]

REPO = "acme/sums"
ENDS = {"weak": "held", "good": "promoted", "regressed": "held"}
PROCTOR = str(Path(sys.executable).with_name("proctor"))


@dataclass(frozen=True)
class Shown:
    """What a run of the demo left: its folder, exit status, words, the shas by push, and every
    process that was seen below it."""

    folder: Path
    status: int
    words: str
    seen: frozenset[psutil.Process]
    shas: Mapping[str, str]
    variables: Mapping[str, str]

    def ask(self, *arguments: str) -> Any:
        """The JSON that `proctor ARGUMENTS --json` prints about the record."""
        done = subprocess.run(
            [PROCTOR, *arguments, "--json"],
            env={"PATH": os.environ["PATH"], "HOME": str(self.folder), **self.variables},
            cwd=self.folder.parent,
            capture_output=True,
            timeout=120,
            check=True,
        )
        return json.loads(done.stdout)


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    """The demo, run once with nothing but PATH and HOME in the environment."""
    place = tmp_path_factory.mktemp("newcomer")
    folder = place / "demo"
    seen: set[psutil.Process] = set()
    with (place / "words").open("wb") as sink:
        demo = subprocess.Popen(
            [PROCTOR, "demo", "--folder", "demo"],
            env={"PATH": os.environ["PATH"], "HOME": str(place)},
            cwd=place,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
        )
    end = time.monotonic() + 800
    while demo.poll() is None:
        with suppress(psutil.Error):
            seen |= set(psutil.Process(demo.pid).children(recursive=True))
        if time.monotonic() > end:
            demo.kill()
        time.sleep(0.5)
    words = (place / "words").read_text()
    shas = re.findall(r"([0-9a-f]{8}) is the head of main", words)
    exported = re.search(r"^  export (.*)$", words, re.MULTILINE)
    assert exported and len(shas) == len(ENDS), words
    variables = dict(each.split("=", 1) for each in exported[1].split(" "))
    by_push = dict(zip(ENDS, shas, strict=True))
    return Shown(folder, demo.returncode, words, frozenset(seen), by_push, variables)


def test_it_ends_well_and_tells_what_happened(shown: Shown) -> None:
    assert shown.status == 0, shown.words
    assert "Traceback" not in shown.words
    for push, end in ENDS.items():
        row = re.search(rf"^{push} +{shown.shas[push]} +{end} +(.*?) +[\d.]+ s", shown.words, re.M)
        assert row, shown.words
        assert row[1] == ("prod, prod-1, staging" if push == "good" else "-")
    assert "the gate asks for at least 0.8" in " ".join(shown.words.split())


def test_the_tags_are_on_the_hub(shown: Shown) -> None:
    with LocalHub(shown.folder / "hub") as hub:
        api = HfApi(endpoint=hub.url, token=shown.variables["HF_TOKEN"])
        refs = api.list_repo_refs(REPO)
        tags = {t.name: t.target_commit[:8] for t in refs.tags}
        (main,) = refs.branches
        commits = [c.commit_id[:8] for c in api.list_repo_commits(REPO)]
    good = shown.shas["good"]
    assert tags == {"staging": good, "prod": good, "prod-1": good}
    assert main.target_commit[:8] == shown.shas["regressed"]
    assert set(shown.shas.values()) < set(commits)


@pytest.mark.parametrize("push", ENDS)
def test_every_decision_can_be_explained_afterwards(shown: Shown, push: str) -> None:
    why = shown.ask("why", f"{REPO}@{shown.shas[push]}")
    assert why["revision"].startswith(shown.shas[push])
    (run,) = why["runs"]
    assert run["status"] == ENDS[push]
    assert {c["name"]: c["evidence"]["outcome"] for c in run["checks"]} == {
        "files": "measured",
        "exam": "measured",
    }
    exam = next(c["evidence"] for c in run["checks"] if c["name"] == "exam")
    (accuracy,) = [m for m in exam["metrics"] if m["name"] == "arith/acc"]
    assert accuracy["n"] == 600 and accuracy["stderr"] > 0
    assert run["verdict"]["result"] == ("pass" if push == "good" else "fail")
    told = [r["text"] for r in run["verdict"]["reasons"]]
    assert any(f"exam/arith/acc is {accuracy['value']:.4g}" in text for text in told)
    stages = [(p["stage"], p["status"], p["release"]) for p in run["promotions"]]
    promoted = [("staging", "done", None), ("prod", "done", "prod-1")]
    assert stages == (promoted if push == "good" else [])


def test_every_event_has_its_one_disposition(shown: Shown) -> None:
    events: dict[str, dict[str, Any]] = {}
    runs = set()
    for sha in shown.shas.values():
        facts = shown.ask("why", f"{REPO}@{sha}")
        runs.add(facts["runs"][0]["id"])
        events |= {event["id"]: event for event in facts["events"]}
    echoes = [e["reason"] for e in events.values() if e["disposition"] == "echo"]
    tags = ("staging", "prod-1", "prod")
    assert sorted(echoes) == sorted(f"our own create of tag {tag} came back" for tag in tags)
    # The sweep, or the look for an echo, may find a push before its own event comes.
    others = [e for e in events.values() if e["disposition"] != "echo"]
    assert {e["disposition"] for e in others} <= {"ran", "unchanged", "coalesced"}
    assert sum(e["source"] == "webhook" for e in others) == len(runs) == len(ENDS)
    assert {run for run in runs for event in others if run in event["reason"]} == runs


def test_nothing_is_alive_afterwards(
    shown: Shown, still_alive: Callable[[Path], list[str]]
) -> None:
    assert len(shown.seen) >= 5 + len(ENDS)  # up, its four parts, and an eval for each push
    assert psutil.wait_procs(shown.seen, timeout=60)[1] == []
    assert still_alive(shown.folder.parent) == []
    assert list((shown.folder / "home" / "work").iterdir()) == []


def test_no_secret_is_left_behind(shown: Shown, holding: Callable[[Path, str], list[str]]) -> None:
    with closing(sqlite3.connect(shown.folder / "hub" / "hub.sqlite3")) as hub:
        ((secret,),) = hub.execute("SELECT secret FROM webhooks").fetchall()
    token = shown.variables["HF_TOKEN"]
    assert token.startswith("hf_") and len(secret) > 15
    # The search finds what is there to be found.
    assert holding(shown.folder / "home", shown.shas["good"])
    for word in (token, secret):
        assert holding(shown.folder / "home", word) == []
        assert holding(shown.folder / "proctor.log", word) == []
    assert secret not in shown.words
