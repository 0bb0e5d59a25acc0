"""The registry against what is on the Hub: real adapter, HTTP, real ledger, real steps."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, constants

from proctor.clock import SystemClock
from proctor.core.errors import RevisionGone
from proctor.core.event import Event
from proctor.core.names import Repo, RepoType, Revision
from proctor.core.record import Entry
from proctor.core.registry import File
from proctor.core.rule import Rules
from proctor.core.run import Step, StepKind
from proctor.flow.attempt import Doing
from proctor.flow.plan import Plan
from proctor.flow.runs import plan_step, sync_step
from proctor.flow.sync import Sync
from proctor.hub import HuggingFaceHub
from proctor.ledger import SqlLedger, open_ledger
from proctor.localhub import LocalHub

# The client's own way of sending a file is deprecated in the HTTP library that it uses.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

WEIGHTS = bytes(range(256)) * 64  # beyond the hub's inline limit here: goes by LFS
NO_RULES = Rules(stages=(), pipelines=())


@dataclass(frozen=True)
class Registry:
    """The parts, and a person who pushes."""

    api: HfApi
    hub: HuggingFaceHub
    ledger: SqlLedger
    clock: SystemClock

    def make(self, type: RepoType, name: str) -> Repo:
        """A new repo."""
        sdk = "static" if type is RepoType.SPACE else None
        self.api.create_repo(name, repo_type=type.value, space_sdk=sdk)
        return self.hub.find(type, name)

    def push(
        self, repo: Repo, title: str, files: Mapping[str, bytes | None], to: str = "main"
    ) -> Revision:
        """A commit that writes files, or removes them (None)."""
        operations = [
            CommitOperationDelete(path) if written is None else CommitOperationAdd(path, written)
            for path, written in files.items()
        ]
        commit = self.api.create_commit(
            repo.name, operations, commit_message=title, repo_type=repo.type.value, revision=to
        )
        return Revision(commit.oid)

    def told_of(self, repo: Repo) -> None:
        """An event says to look at the repo."""
        event = Event(
            id=self.clock.new_id(),
            identity=self.clock.new_id(),
            source="sweep",
            received_at=self.clock.now(),
            action="update",
            scope="repo.content",
            repo_type=repo.type,
            hub_id=repo.hub_id,
            repo_name=repo.name,
        )
        with self.ledger.transaction() as tx:
            tx.add_event(event)
            tx.add_step(plan_step(self.clock, repo.hub_id))

    def settle(self) -> list[StepKind]:
        """Do all steps that are due; their kinds, in order."""
        steps: dict[StepKind, Doing] = {
            StepKind.PLAN: Plan(self.ledger, self.hub, self.clock, NO_RULES, lambda *_: ""),
            StepKind.SYNC: Sync(
                self.ledger, self.hub, self.clock, NO_RULES, lambda _: "io", lambda *_: ""
            ),
        }
        done = []
        while due := self.ledger.due(self.clock.now()):
            claim = self.ledger.claim(due[0].id, "test", 60)
            assert claim is not None
            steps[claim.step.kind].do(claim, lambda: False)
            done.append(claim.step.kind)
        return done

    def look(self, repo: Repo) -> list[StepKind]:
        """What follows from one event about the repo."""
        self.told_of(repo)
        return self.settle()

    def entry(self, repo: Repo, revision: Revision) -> Entry:
        """The entry of exactly this revision."""
        with self.ledger.view() as view:
            found = view.entry(repo.hub_id, revision)
        assert found is not None
        return found

    def refs(self, repo: Repo) -> Mapping[str, Revision]:
        """The refs as last seen."""
        with self.ledger.view() as view:
            return dict(view.refs_seen(repo.hub_id))

    def changes(self, repo: Repo) -> list[tuple[str, Revision | None, Revision | None]]:
        """The history of the refs, oldest first."""
        with self.ledger.view() as view:
            return [(c.ref, c.old, c.new) for c in reversed(view.ref_changes(repo.hub_id))]


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalHub]:
    with LocalHub(tmp_path_factory.mktemp("hub"), inline_limit=1_000) as running:
        yield running


@pytest.fixture
def registry(
    local: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Registry]:
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)  # read when it is imported
    token = local.create_user("ana", orgs=["acme"])
    clock = SystemClock()
    ledger = open_ledger(f"sqlite:///{tmp_path}/ledger.db", clock)
    api = HfApi(endpoint=local.url, token=token)
    yield Registry(api, HuggingFaceHub(endpoint=local.url, token=token), ledger, clock)
    ledger.close()


def blob(content: bytes) -> str:
    """Git's name for a file's content."""
    done = subprocess.run(
        ["git", "hash-object", "--stdin"], input=content, capture_output=True, check=True
    )
    return done.stdout.decode().strip()


CARD = b"""---
license: mit
language: en
library_name: transformers
pipeline_tag: text-generation
tags: [sums]
---
# Sums
"""


def test_a_model_with_card_and_weights(registry: Registry) -> None:
    repo = registry.make(RepoType.MODEL, "acme/sums")
    config = b'{"model_type": "llama", "architectures": ["LlamaForCausalLM"]}'
    first = registry.push(repo, "Add the card", {"README.md": CARD})
    second = registry.push(
        repo, "Add weights", {"model.safetensors": WEIGHTS, "config.json": config}
    )
    assert registry.look(repo) == [StepKind.PLAN, StepKind.SYNC]

    entry = registry.entry(repo, second)
    found = entry.description
    assert found.revision == second
    assert found.card["license"] == "mit" and found.card["tags"] == ["sums"]
    assert found.library == "transformers" and found.pipeline_tag == "text-generation"
    assert {"transformers", "sums", "license:mit", "en", "safetensors"} <= set(found.labels)
    files = {f.path: f for f in found.files if f.path != ".gitattributes"}
    weights = files["model.safetensors"]
    assert files == {
        "README.md": File("README.md", len(CARD), blob(CARD)),
        "config.json": File("config.json", len(config), blob(config)),
        "model.safetensors": File(
            "model.safetensors",
            len(WEIGHTS),
            weights.oid,
            hashlib.sha256(WEIGHTS).hexdigest(),
        ),
    }
    assert [(c.revision, c.title) for c in entry.commits][:2] == [
        (second, "Add weights"),
        (first, "Add the card"),
    ]
    assert entry.commits[0].authors == ("ana",)
    assert abs(entry.commits[0].created_at - registry.clock.now()) < 60
    assert {"card", "config", "weights"} <= set(entry.changed)


def test_a_second_sync_changes_nothing_but_its_time(registry: Registry) -> None:
    repo = registry.make(RepoType.MODEL, "acme/twice")
    sha = registry.push(repo, "Add all", {"README.md": CARD, "model.safetensors": WEIGHTS})
    registry.look(repo)
    before, changes = registry.entry(repo, sha), registry.changes(repo)
    with registry.ledger.transaction() as tx:
        tx.add_step(sync_step(registry.clock, repo.hub_id, sha))
    assert registry.settle() == [StepKind.SYNC]
    assert registry.look(repo) == [StepKind.PLAN], "what is on record is not fetched again"
    after = registry.entry(repo, sha)
    assert after.synced_at > before.synced_at
    assert replace(after, synced_at=before.synced_at) == before
    assert registry.changes(repo) == changes
    with registry.ledger.view() as view:
        assert len(view.entries(repo.hub_id)) == 1


def test_the_next_revision_tells_what_changed(registry: Registry) -> None:
    repo = registry.make(RepoType.MODEL, "acme/changing")
    registry.push(repo, "Begin", {"README.md": CARD, "model.safetensors": WEIGHTS, "x.txt": b"x"})
    registry.look(repo)
    weights = registry.push(repo, "Train", {"model.safetensors": WEIGHTS[::-1]})
    registry.look(repo)
    assert registry.entry(repo, weights).changed == ("weights",)
    card = registry.push(repo, "Reword", {"README.md": CARD + b"more"})
    registry.look(repo)
    assert registry.entry(repo, card).changed == ("card",)
    removed = registry.push(repo, "Tidy", {"x.txt": None})
    registry.look(repo)
    entry = registry.entry(repo, removed)
    assert entry.changed == ("other",)
    assert "x.txt" not in {f.path for f in entry.description.files}
    assert [c.title for c in entry.commits][:4] == ["Tidy", "Reword", "Train", "Begin"]
    assert registry.entry(repo, weights).description != entry.description


def test_branches_and_tags_that_come_move_and_go(registry: Registry) -> None:
    repo = registry.make(RepoType.MODEL, "acme/refs")
    one = registry.push(repo, "One", {"README.md": CARD})
    registry.api.create_branch(repo.name, branch="work")
    registry.api.create_tag(repo.name, tag="v1", revision=one)
    registry.look(repo)
    assert registry.refs(repo) == {
        "refs/heads/main": one,
        "refs/heads/work": one,
        "refs/tags/v1": one,
    }
    seen = len(registry.changes(repo))
    two = registry.push(repo, "Two", {"README.md": CARD + b"2"}, to="work")
    registry.api.delete_tag(repo.name, tag="v1")
    registry.api.create_tag(repo.name, tag="v1", revision=two)
    registry.look(repo)
    registry.api.delete_tag(repo.name, tag="v1")
    registry.api.delete_branch(repo.name, branch="work")
    registry.look(repo)
    assert registry.refs(repo) == {"refs/heads/main": one}
    assert registry.changes(repo)[seen:] == [
        ("refs/heads/work", one, two),
        ("refs/tags/v1", one, two),
        ("refs/heads/work", two, None),
        ("refs/tags/v1", two, None),
    ]


def test_a_pull_request_is_a_ref_and_not_the_head(registry: Registry) -> None:
    repo = registry.make(RepoType.MODEL, "acme/asked")
    main = registry.push(repo, "One", {"README.md": CARD})
    asked = registry.api.create_commit(
        repo.name,
        [CommitOperationAdd("README.md", CARD + b"better")],
        commit_message="Better words",
        create_pr=True,
    )
    registry.look(repo)
    assert registry.refs(repo)["refs/pr/1"] == asked.oid
    assert registry.refs(repo)["refs/heads/main"] == main
    with registry.ledger.view() as view:
        assert [e.revision for e in view.entries(repo.hub_id)] == [main]


DATA_CARD = b"""---
license: cc-by-4.0
task_categories: [text-generation]
configs:
  - {config_name: default, data_files: data.jsonl}
---
"""


def test_a_dataset(registry: Registry) -> None:
    repo = registry.make(RepoType.DATASET, "acme/digits")
    lines = b'{"sum": 3}\n'
    table = WEIGHTS[:5000]
    sha = registry.push(
        repo, "Add rows", {"README.md": DATA_CARD, "data.jsonl": lines, "rows.parquet": table}
    )
    assert registry.look(repo) == [StepKind.PLAN, StepKind.SYNC]
    found = registry.entry(repo, sha).description
    assert found.card["license"] == "cc-by-4.0"
    assert found.card["configs"] == [{"config_name": "default", "data_files": "data.jsonl"}]
    assert "license:cc-by-4.0" in found.labels
    files = {f.path: f for f in found.files}
    assert files["data.jsonl"] == File("data.jsonl", len(lines), blob(lines))
    assert files["rows.parquet"].sha256 == hashlib.sha256(table).hexdigest()
    assert files["rows.parquet"].size == len(table)


SPACE_CARD = b"""---
title: Adder
sdk: static
emoji: "\xf0\x9f\xa7\xae"
---
"""


def test_a_space(registry: Registry) -> None:
    repo = registry.make(RepoType.SPACE, "acme/adder")
    page = b"<h1>1 + 1</h1>"
    sha = registry.push(repo, "Add the page", {"README.md": SPACE_CARD, "index.html": page})
    assert registry.look(repo) == [StepKind.PLAN, StepKind.SYNC]
    entry = registry.entry(repo, sha)
    assert entry.description.card["title"] == "Adder"
    assert entry.description.card["emoji"] == "\N{ABACUS}"
    assert File("index.html", len(page), blob(page)) in entry.description.files
    assert entry.commits[0].title == "Add the page"


def test_one_name_three_kinds_are_three_repos(registry: Registry) -> None:
    repos = [registry.make(kind, "acme/shared-name") for kind in RepoType]
    shas = [registry.push(r, f"Begin {r.type}", {"README.md": CARD}) for r in repos]
    for repo in repos:
        registry.told_of(repo)
    registry.settle()
    for repo, sha in zip(repos, shas, strict=True):
        assert registry.entry(repo, sha).commits[0].title == f"Begin {repo.type}"
    with registry.ledger.view() as view:
        known = view.repos_named("acme/shared-name")
        assert {k.repo.hub_id for k in known} == {r.hub_id for r in repos}
        assert len({r.hub_id for r in repos}) == 3


def test_a_revision_that_is_gone_makes_no_entry(registry: Registry) -> None:
    repo = registry.make(RepoType.MODEL, "acme/never")
    registry.push(repo, "One", {"README.md": CARD})
    registry.look(repo)
    never = Revision("0" * 40)
    with registry.ledger.transaction() as tx:
        step: Step = tx.add_step(sync_step(registry.clock, repo.hub_id, never))
    with pytest.raises(RevisionGone, match="no such revision"):
        registry.settle()
    with registry.ledger.view() as view:
        assert view.entry(repo.hub_id, never) is None
        assert view.step(step.id) is not None
