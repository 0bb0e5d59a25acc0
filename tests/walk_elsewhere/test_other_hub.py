"""The real adapter against a Hub that is not Proctor's own: nothing but the contract is shared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest
from huggingface_hub import close_session
from tests.walk_elsewhere.other_hub import OtherHub

from proctor.core.names import Repo, RepoType, Revision, tag_ref
from proctor.hub import HuggingFaceHub
from proctor.testing.contracts.hub import HubContract, World


class Member:
    """A person who works on the other Hub itself."""

    def __init__(self, hub: OtherHub) -> None:
        self._repos = hub.repos

    def create_repo(self, type: RepoType, name: str, *, private: bool = False) -> Repo:
        made = self._repos.create(f"{type.value}s", name, private=private)
        return Repo(made.id, type, name, private)

    def commit(self, repo: Repo, files: Mapping[str, bytes | None], title: str) -> Revision:
        kept = self._repos.find(f"{repo.type.value}s", repo.name)
        return Revision(self._repos.commit(kept, files, title))

    def open_pull_request(
        self, repo: Repo, files: Mapping[str, bytes | None], title: str
    ) -> tuple[int, Revision]:
        kept = self._repos.find(f"{repo.type.value}s", repo.name)
        return 1, Revision(self._repos.commit(kept, files, title, "refs/pr/1"))

    def move_tag(self, repo: Repo, tag: str, revision: Revision) -> None:
        kept = self._repos.find(f"{repo.type.value}s", repo.name)
        if tag_ref(tag) in kept.refs:
            self._repos.delete_tag(kept, tag)
        self._repos.create_tag(kept, tag, revision)

    def remove_tag(self, repo: Repo, tag: str) -> None:
        self._repos.delete_tag(self._repos.find(f"{repo.type.value}s", repo.name), tag)

    def rename(self, repo: Repo, name: str) -> Repo:
        self._repos.rename(self._repos.find(f"{repo.type.value}s", repo.name), name)
        return Repo(repo.hub_id, repo.type, name, repo.private)

    def delete_repo(self, repo: Repo) -> None:
        self._repos.delete(self._repos.find(f"{repo.type.value}s", repo.name))

    def takeover(self, repo: Repo) -> Repo:
        self.delete_repo(repo)
        return self.create_repo(repo.type, repo.name)


class TestElsewhere(HubContract):
    """The same contract as everywhere."""

    @pytest.fixture
    def world(self) -> Iterator[World]:
        """The other Hub."""
        with OtherHub() as hub:
            yield World(HuggingFaceHub(hub.url, hub.token), Member(hub), "acme")
            close_session()
            assert not hub.token_at_storage
