"""What every implementation of `proctor.ports.hub.Hub` has to keep."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

from proctor.core.errors import (
    Cancelled,
    PermanentError,
    RepoGone,
    RepoReplaced,
    RevisionGone,
    TagExists,
    TagGone,
    TagMoved,
)
from proctor.core.names import Repo, RepoType, Revision, is_revision, tag_ref
from proctor.ports.hub import Hub

MAIN = "refs/heads/main"
NOWHERE = Revision("0123456789abcdef0123456789abcdef01234567")
CARD = b"""---
license: mit
tags: [exam]
date: 2026-01-02
base_model: acme/base
---
# A model
"""
OTHER_CARD = b"""---
license: apache-2.0
---
# A model
"""


class Person(Protocol):
    """What the contract needs people to do on the Hub (`FakeHub` does it)."""

    def create_repo(self, type: RepoType, name: str, *, private: bool = False) -> Repo:
        """Make a repo."""
        ...

    def commit(self, repo: Repo, files: Mapping[str, bytes | None], title: str) -> Revision:
        """Commit to main; None removes a file."""
        ...

    def move_tag(self, repo: Repo, tag: str, revision: Revision) -> None:
        """Point a tag at a revision, wherever it was."""
        ...

    def remove_tag(self, repo: Repo, tag: str) -> None:
        """Delete a tag."""
        ...

    def rename(self, repo: Repo, name: str) -> Repo:
        """Move a repo to another name."""
        ...

    def delete_repo(self, repo: Repo) -> None:
        """Delete a repo."""
        ...

    def takeover(self, repo: Repo) -> Repo:
        """Let another repo take the name."""
        ...

    def open_pull_request(
        self, repo: Repo, files: Mapping[str, bytes | None], title: str
    ) -> tuple[int, Revision]:
        """Open a pull request."""
        ...


@dataclass(frozen=True, slots=True)
class World:
    """A Hub with nothing of `owner` on it yet, and a person who may write there."""

    hub: Hub
    person: Person
    owner: str


class HubContract:
    """Subclass as `class TestMyHub(HubContract)` and override the fixture `world`."""

    @pytest.fixture
    def world(self) -> World:
        """A fresh world for each test."""
        raise NotImplementedError("override the fixture `world`")

    @pytest.fixture
    def repo(self, world: World) -> Repo:
        """A model repo."""
        return world.person.create_repo(RepoType.MODEL, f"{world.owner}/bot")

    def test_account_is_named(self, world: World) -> None:
        account = world.hub.account()
        assert account.name
        assert account.role in ("read", "write", "fineGrained", "unknown")

    @pytest.mark.parametrize("type", list(RepoType))
    def test_find_brings_id_name_and_privacy(self, world: World, type: RepoType) -> None:
        made = world.person.create_repo(type, f"{world.owner}/found", private=True)
        assert world.hub.find(type, f"{world.owner}/found") == made
        assert made.hub_id
        assert made.private

    def test_find_what_does_not_exist(self, world: World) -> None:
        with pytest.raises(RepoGone):
            world.hub.find(RepoType.MODEL, f"{world.owner}/nowhere")

    def test_types_are_kept_apart(self, world: World, repo: Repo) -> None:
        with pytest.raises(RepoGone):
            world.hub.find(RepoType.DATASET, repo.name)

    def test_refs_hold_branches_tags_and_pull_requests(self, world: World, repo: Repo) -> None:
        head = world.person.commit(repo, {"a.txt": b"a"}, "Add a")
        number, proposed = world.person.open_pull_request(repo, {"b.txt": b"b"}, "Propose b")
        world.person.move_tag(repo, "v1", head)
        refs = world.hub.refs(repo)
        assert refs == {MAIN: head, tag_ref("v1"): head, f"refs/pr/{number}": proposed}
        assert all(is_revision(sha) for sha in refs.values())

    def test_refs_show_what_people_did(self, world: World, repo: Repo) -> None:
        first = world.person.commit(repo, {"a.txt": b"a"}, "Add a")
        second = world.person.commit(repo, {"a.txt": b"b"}, "Change a")
        world.person.move_tag(repo, "prod", first)
        assert world.hub.refs(repo)[tag_ref("prod")] == first
        world.person.move_tag(repo, "prod", second)
        assert world.hub.refs(repo)[tag_ref("prod")] == second
        world.person.remove_tag(repo, "prod")
        assert tag_ref("prod") not in world.hub.refs(repo)

    def test_refs_of_a_repo_that_was_deleted(self, world: World, repo: Repo) -> None:
        world.person.delete_repo(repo)
        with pytest.raises(RepoGone):
            world.hub.refs(repo)

    @pytest.mark.parametrize("type", list(RepoType))
    def test_describe_tells_card_labels_and_files(self, world: World, type: RepoType) -> None:
        repo = world.person.create_repo(type, f"{world.owner}/described")
        weights = b"weights" * 50
        files = {"README.md": CARD, "model.safetensors": weights, "sub/c.json": b"{}"}
        revision = world.person.commit(repo, files, "Add files")
        described = world.hub.describe(repo, revision)
        assert described.revision == revision
        assert described.card["license"] == "mit"
        assert described.card["base_model"] == "acme/base"
        assert str(described.card["date"]).startswith("2026-01-02")
        assert "exam" in described.labels
        assert described.last_modified is not None
        listed = {file.path: file for file in described.files}
        assert set(files) <= set(listed)
        plain = listed["sub/c.json"]
        assert plain.size == 2
        assert plain.oid == hashlib.sha1(b"blob 2\0{}", usedforsecurity=False).hexdigest()
        assert plain.sha256 is None
        assert listed["model.safetensors"].size == len(weights)
        assert listed["model.safetensors"].sha256 == hashlib.sha256(weights).hexdigest()

    def test_describe_an_older_revision(self, world: World, repo: Repo) -> None:
        old = world.person.commit(repo, {"README.md": CARD, "a.txt": b"a"}, "Add a")
        world.person.commit(repo, {"README.md": OTHER_CARD, "a.txt": None, "b.txt": b"b"}, "Swap")
        described = world.hub.describe(repo, old)
        assert described.revision == old
        assert described.card["license"] == "mit"
        paths = {file.path for file in described.files}
        assert "a.txt" in paths
        assert "b.txt" not in paths

    def test_describe_a_revision_that_is_not_there(self, world: World, repo: Repo) -> None:
        with pytest.raises(RevisionGone):
            world.hub.describe(repo, NOWHERE)

    def test_history_is_newest_first_and_limited(self, world: World, repo: Repo) -> None:
        first = world.person.commit(repo, {"a.txt": b"1"}, "One")
        second = world.person.commit(repo, {"a.txt": b"2"}, "Two")
        third = world.person.commit(repo, {"a.txt": b"3"}, "Three")
        commits = world.hub.history(repo, third, limit=2)
        assert [commit.revision for commit in commits] == [third, second]
        assert [commit.title for commit in commits] == ["Three", "Two"]
        assert all(commit.created_at > 0 for commit in commits)
        assert world.hub.history(repo, first)[0].revision == first
        with pytest.raises(RevisionGone):
            world.hub.history(repo, NOWHERE)

    def test_snapshot_is_exactly_the_revision(
        self, world: World, repo: Repo, tmp_path: Path
    ) -> None:
        files = {"README.md": CARD, "model.safetensors": b"old weights", "sub/c.json": b"{}"}
        old = world.person.commit(repo, files, "Add files")
        new = world.person.commit(
            repo, {"model.safetensors": b"new weights", "sub/c.json": None}, "Train on"
        )
        folder = world.hub.snapshot(repo, old, tmp_path / "snapshots")
        assert folder.is_relative_to(tmp_path / "snapshots")
        for path, content in files.items():
            assert (folder / path).read_bytes() == content
        newer = world.hub.snapshot(repo, new, tmp_path / "snapshots")
        assert (newer / "model.safetensors").read_bytes() == b"new weights"
        assert not (newer / "sub/c.json").exists()
        assert (folder / "model.safetensors").read_bytes() == b"old weights"

    def test_snapshot_again_is_the_same(self, world: World, repo: Repo, tmp_path: Path) -> None:
        revision = world.person.commit(repo, {"a.txt": b"a"}, "Add a")
        once = world.hub.snapshot(repo, revision, tmp_path)
        (once / "a.txt").write_bytes(b"b")
        again = world.hub.snapshot(repo, revision, tmp_path)
        assert (again / "a.txt").read_bytes() == b"a"
        listed = {file.path for file in world.hub.describe(repo, revision).files}
        found = {file.relative_to(again).as_posix() for file in again.rglob("*") if file.is_file()}
        assert found == listed

    def test_snapshot_that_is_no_longer_wanted(
        self, world: World, repo: Repo, tmp_path: Path
    ) -> None:
        revision = world.person.commit(repo, {"a.txt": b"a"}, "Add a")
        with pytest.raises(Cancelled):
            world.hub.snapshot(repo, revision, tmp_path, lambda: True)
        again = world.hub.snapshot(repo, revision, tmp_path, lambda: False)
        assert (again / "a.txt").read_bytes() == b"a"

    def test_snapshot_of_a_revision_that_is_not_there(
        self, world: World, repo: Repo, tmp_path: Path
    ) -> None:
        with pytest.raises(RevisionGone):
            world.hub.snapshot(repo, NOWHERE, tmp_path)

    def test_tags_are_made_and_removed(self, world: World, repo: Repo) -> None:
        first = world.person.commit(repo, {"a.txt": b"1"}, "One")
        world.person.commit(repo, {"a.txt": b"2"}, "Two")
        world.hub.create_tag(repo, "staging", first, "passed")
        assert world.hub.refs(repo)[tag_ref("staging")] == first
        world.hub.delete_tag(repo, "staging", first)
        assert tag_ref("staging") not in world.hub.refs(repo)

    def test_a_tag_that_exists_is_never_moved(self, world: World, repo: Repo) -> None:
        first = world.person.commit(repo, {"a.txt": b"1"}, "One")
        second = world.person.commit(repo, {"a.txt": b"2"}, "Two")
        world.hub.create_tag(repo, "staging", first, "passed")
        for revision in (first, second):
            with pytest.raises(TagExists):
                world.hub.create_tag(repo, "staging", revision, "passed again")
        assert world.hub.refs(repo)[tag_ref("staging")] == first

    def test_a_tag_that_is_gone(self, world: World, repo: Repo) -> None:
        with pytest.raises(TagGone) as gone:
            world.hub.delete_tag(repo, "staging", world.hub.refs(repo)[MAIN])
        assert gone.value.without_effect

    def test_a_tag_that_a_person_moved_is_not_removed(self, world: World, repo: Repo) -> None:
        first = world.person.commit(repo, {"a.txt": b"1"}, "One")
        second = world.person.commit(repo, {"a.txt": b"2"}, "Two")
        world.person.move_tag(repo, "staging", second)
        with pytest.raises(TagMoved) as moved:
            world.hub.delete_tag(repo, "staging", first)
        assert moved.value.without_effect
        assert world.hub.refs(repo)[tag_ref("staging")] == second

    def test_a_tag_on_a_revision_that_is_not_there(self, world: World, repo: Repo) -> None:
        with pytest.raises(RevisionGone) as gone:
            world.hub.create_tag(repo, "staging", NOWHERE, "passed")
        assert gone.value.without_effect
        assert tag_ref("staging") not in world.hub.refs(repo)

    def test_renames_are_followed(self, world: World, repo: Repo, tmp_path: Path) -> None:
        revision = world.person.commit(repo, {"a.txt": b"a"}, "Add a")
        renamed = world.person.rename(repo, f"{world.owner}/bot-two")
        assert world.hub.find(repo.type, repo.name) == renamed
        assert renamed.hub_id == repo.hub_id
        assert world.hub.refs(repo)[MAIN] == revision
        assert world.hub.describe(repo, revision).revision == revision
        assert world.hub.history(repo, revision, limit=1)[0].revision == revision
        assert (world.hub.snapshot(repo, revision, tmp_path) / "a.txt").read_bytes() == b"a"
        world.hub.create_tag(repo, "staging", revision, "passed")
        assert world.hub.refs(renamed)[tag_ref("staging")] == revision
        world.hub.delete_tag(repo, "staging", revision)
        assert tag_ref("staging") not in world.hub.refs(renamed)

    def test_a_stranger_under_our_name_is_never_touched(
        self, world: World, repo: Repo, tmp_path: Path
    ) -> None:
        revision = world.person.commit(repo, {"a.txt": b"a"}, "Add a")
        theirs = world.person.takeover(repo)
        head = world.person.commit(theirs, {"a.txt": b"theirs"}, "Start")
        world.person.move_tag(theirs, "prod", head)
        before = world.hub.refs(theirs)
        with pytest.raises(RepoReplaced):
            world.hub.refs(repo)
        with pytest.raises(RepoReplaced):
            world.hub.describe(repo, head)
        with pytest.raises(RepoReplaced):
            world.hub.history(repo, head)
        with pytest.raises(RepoReplaced):
            world.hub.snapshot(repo, head, tmp_path)
        with pytest.raises(RepoReplaced) as of_create:
            world.hub.create_tag(repo, "staging", head, "passed")
        with pytest.raises(RepoReplaced) as of_delete:
            world.hub.delete_tag(repo, "prod", head)
        assert of_create.value.without_effect and of_delete.value.without_effect
        with pytest.raises((RepoReplaced, RevisionGone)):
            world.hub.describe(repo, revision)
        assert world.hub.refs(theirs) == before

    def test_heads_tell_every_repo_of_an_owner(self, world: World, repo: Repo) -> None:
        head = world.person.commit(repo, {"a.txt": b"a"}, "Add a")
        other = world.person.create_repo(RepoType.MODEL, f"{world.owner}/other", private=True)
        dataset = world.person.create_repo(RepoType.DATASET, f"{world.owner}/questions")
        heads = dict(world.hub.heads(world.owner, RepoType.MODEL))
        assert heads == {repo: head, other: world.hub.refs(other)[MAIN]}
        assert [found for found, _ in world.hub.heads(world.owner, RepoType.DATASET)] == [dataset]
        assert list(world.hub.heads(world.owner, RepoType.SPACE)) == []

    def test_webhooks_never_give_a_secret_back(self, world: World, repo: Repo) -> None:
        made = world.hub.create_webhook(
            "https://proctor.example.com/webhooks/hub",
            [world.owner, repo.name],
            ["repo", "discussion"],
            "a-made-up-secret",
        )
        in_url = world.hub.create_webhook(
            "https://proctor.example.com/hook?secret=another-secret&a=b",
            [repo.name],
            ["repo"],
            "a-made-up-secret",
        )
        assert made.url == "https://proctor.example.com/webhooks/hub"
        assert made.watched == (world.owner, repo.name)
        assert sorted(made.domains) == ["discussion", "repo"]
        assert not made.disabled
        assert in_url.url == "https://proctor.example.com/hook?secret=***&a=b"
        registered = {webhook.id: webhook for webhook in world.hub.webhooks()}
        assert registered == {made.id: made, in_url.id: in_url}
        assert "secret=another" not in repr(registered)
        assert "a-made-up-secret" not in repr(registered)

    def test_a_webhook_has_to_watch_something(self, world: World) -> None:
        with pytest.raises(PermanentError):
            world.hub.create_webhook("https://proctor.example.com/hook", [], ["repo"], "secret")
        assert list(world.hub.webhooks()) == []
