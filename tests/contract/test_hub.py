"""The Hub's contract, kept by the fake and by the real adapter against a Hub over HTTP."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, close_session

from proctor.core.names import Repo, RepoType, Revision, tag_ref
from proctor.hub import HuggingFaceHub
from proctor.localhub import LocalHub
from proctor.testing import FakeHub
from proctor.testing.contracts.hub import HubContract, World


class TestFakeHub(HubContract):
    """The fake."""

    @pytest.fixture
    def world(self) -> World:
        """A fake Hub is its own person."""
        hub = FakeHub()
        return World(hub, hub, "acme")


class ApiPerson:
    """A person who works with the plain huggingface_hub client."""

    def __init__(self, endpoint: str, token: str) -> None:
        self._api = HfApi(endpoint=endpoint, token=token)

    def create_repo(self, type: RepoType, name: str, *, private: bool = False) -> Repo:
        sdk = "static" if type is RepoType.SPACE else None
        self._api.create_repo(name, repo_type=type.value, private=private, space_sdk=sdk)
        return self._found(type, name)

    def commit(self, repo: Repo, files: Mapping[str, bytes | None], title: str) -> Revision:
        return Revision(self._commit(repo, files, title, create_pr=False)[0])

    def open_pull_request(
        self, repo: Repo, files: Mapping[str, bytes | None], title: str
    ) -> tuple[int, Revision]:
        oid, number = self._commit(repo, files, title, create_pr=True)
        assert number is not None
        return number, Revision(oid)

    def move_tag(self, repo: Repo, tag: str, revision: Revision) -> None:
        refs = self._api.list_repo_refs(repo.name, repo_type=repo.type.value)
        if tag_ref(tag) in [ref.ref for ref in refs.tags]:
            self.remove_tag(repo, tag)
        self._api.create_tag(repo.name, tag=tag, revision=revision, repo_type=repo.type.value)

    def remove_tag(self, repo: Repo, tag: str) -> None:
        self._api.delete_tag(repo.name, tag=tag, repo_type=repo.type.value)

    def rename(self, repo: Repo, name: str) -> Repo:
        self._api.move_repo(repo.name, name, repo_type=repo.type.value)
        return self._found(repo.type, name)

    def delete_repo(self, repo: Repo) -> None:
        self._api.delete_repo(repo.name, repo_type=repo.type.value)

    def takeover(self, repo: Repo) -> Repo:
        self.delete_repo(repo)
        return self.create_repo(repo.type, repo.name)

    def _found(self, type: RepoType, name: str) -> Repo:
        told = self._api.repo_info(name, repo_type=type.value)
        return Repo(vars(told)["_id"], type, told.id, bool(told.private))

    def _commit(
        self, repo: Repo, files: Mapping[str, bytes | None], title: str, *, create_pr: bool
    ) -> tuple[str, int | None]:
        made = self._api.create_commit(
            repo.name,
            [
                CommitOperationDelete(path)
                if content is None
                else CommitOperationAdd(path, content)
                for path, content in files.items()
            ],
            commit_message=title,
            repo_type=repo.type.value,
            create_pr=create_pr,
        )
        return made.oid, made.pr_num


class TestHuggingFaceHub(HubContract):
    """The real adapter."""

    @pytest.fixture
    def world(self, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
        """A Hub on this machine."""
        root: Path = tmp_path_factory.mktemp("hub")
        with LocalHub(root) as server:
            token = server.create_user("bot", orgs=["acme"], role="admin")
            hub = HuggingFaceHub(server.url, token)
            yield World(hub, ApiPerson(server.url, token), "acme")
            close_session()
