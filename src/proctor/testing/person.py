"""What people do on the Hub, done to the fake Hub."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from proctor.core.names import Repo, RepoType, Revision, tag_ref
from proctor.testing.fake_repo import MAIN, StoredRepo
from proctor.testing.fake_state import FakeState
from proctor.testing.payloads import comment, discussion


class PersonActs(FakeState):
    """The acts of people. Each tells `on_change` what the Hub's webhooks would tell."""

    def create_repo(self, type: RepoType, name: str, *, private: bool = False) -> Repo:
        """Make a repo with its first commit. A name that redirected elsewhere does so no more."""
        with self._acting():
            if (type, name) in self._names:
                raise ValueError(f"there is a {type} called {name} already")
            self._redirects.pop((type, name), None)
            stored = StoredRepo(Repo(self._new_id(), type, name, private))
            stored.add_commit(MAIN, {".gitattributes": b""}, "initial commit", self.clock.now())
            self._repos[stored.repo.hub_id] = stored
            self._names[(type, name)] = stored.repo.hub_id
            self._tell(stored, "create", "repo")
            return stored.repo

    def commit(
        self,
        repo: Repo,
        files: Mapping[str, bytes | None],
        title: str = "Update files",
        ref: str = MAIN,
    ) -> Revision:
        """Commit onto a branch; None for a file removes it. Returns the new revision."""
        with self._acting():
            stored = self._same(repo)
            return self._commit(stored, files, title, ref)

    def move_tag(self, repo: Repo, tag: str, revision: Revision) -> None:
        """Point a tag at a revision, wherever it was before (as `git push --force` does)."""
        with self._acting():
            stored = self._same(repo)
            stored.at(revision)
            self._move(stored, tag_ref(tag), revision, "person")

    def remove_tag(self, repo: Repo, tag: str) -> None:
        """Delete a tag."""
        with self._acting():
            stored = self._same(repo)
            if tag_ref(tag) not in stored.refs:
                raise ValueError(f"{repo.name} has no tag {tag}")
            self._move(stored, tag_ref(tag), None, "person")

    def set_ref(self, repo: Repo, ref: str, revision: Revision | None) -> None:
        """Force any ref to a revision, or remove it: rewritten history, a deleted branch."""
        with self._acting():
            self._move(self._same(repo), ref, revision, "person")

    def rename(self, repo: Repo, name: str) -> Repo:
        """Move a repo to another name; the old one redirects. Returns it under its new name."""
        with self._acting():
            stored = self._same(repo)
            old = stored.repo
            if (old.type, name) in self._names:
                raise ValueError(f"there is a {old.type} called {name} already")
            del self._names[(old.type, old.name)]
            self._redirects[(old.type, old.name)] = old.hub_id
            self._redirects.pop((old.type, name), None)
            self._names[(old.type, name)] = old.hub_id
            self._tell(stored, "move", "repo", movedTo={"name": name, "owner": {"id": "b" * 24}})
            stored.repo = replace(old, name=name)
            return stored.repo

    def set_private(self, repo: Repo, private: bool) -> Repo:
        """Hide a repo, or show it. Returns it as it is then."""
        with self._acting():
            stored = self._same(repo)
            stored.repo = replace(stored.repo, private=private)
            self._tell(stored, "update", "repo.config", updatedConfig={"private": private})
            return stored.repo

    def delete_repo(self, repo: Repo) -> None:
        """Delete a repo for good."""
        with self._acting():
            stored = self._same(repo)
            del self._names[(stored.repo.type, stored.repo.name)]
            del self._repos[stored.repo.hub_id]
            self._tell(stored, "delete", "repo")

    def takeover(self, repo: Repo) -> Repo:
        """A stranger's repo takes the name: the one that had it is deleted. Returns theirs."""
        self.delete_repo(repo)
        return self.create_repo(repo.type, repo.name)

    def open_pull_request(
        self, repo: Repo, files: Mapping[str, bytes | None], title: str = "Propose a change"
    ) -> tuple[int, Revision]:
        """Open a pull request on main. Returns its number and the head of refs/pr/<number>."""
        with self._acting():
            stored = self._same(repo)
            stored.discussions += 1
            number = stored.discussions
            revision = self._commit(stored, files, title, f"refs/pr/{number}")
            told = discussion(number, title, url=_url(stored.repo), base=MAIN)
            self._tell(stored, "create", "discussion", discussion=told)
            return number, revision

    def merge_pull_request(self, repo: Repo, number: int) -> Revision:
        """Put a pull request's files onto main. Returns the new head of main."""
        with self._acting():
            stored = self._same(repo)
            proposed = stored.at(stored.refs[f"refs/pr/{number}"])
            return self._commit(stored, dict(proposed.files), f"Merge pull request #{number}", MAIN)

    def comment(self, repo: Repo, number: int, text: str) -> None:
        """Comment on a discussion or pull request."""
        with self._acting():
            stored = self._same(repo)
            base = MAIN if f"refs/pr/{number}" in stored.refs else None
            url = _url(stored.repo)
            self._tell(
                stored,
                "create",
                "discussion.comment",
                discussion=discussion(number, "A discussion", url=url, base=base),
                comment=comment(self._new_id(), text, url=f"{url}/discussions/{number}"),
            )

    def _commit(
        self, stored: StoredRepo, files: Mapping[str, bytes | None], title: str, ref: str
    ) -> Revision:
        old = stored.refs.get(ref)
        revision = stored.add_commit(ref, files, title, self.clock.now())
        self._moved(stored, ref, old, revision, "person")
        return revision


def _url(repo: Repo) -> str:
    return f"https://huggingface.co/{repo.name}"
