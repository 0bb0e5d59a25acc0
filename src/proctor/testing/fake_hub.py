"""The Hub in memory."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from proctor.core.errors import (
    Cancelled,
    PermanentError,
    TagExists,
    TagGone,
    TagMoved,
    before_effect,
)
from proctor.core.evidence import Json
from proctor.core.names import Repo, RepoType, Revision, tag_ref
from proctor.core.registry import Commit, Description
from proctor.ports.hub import Account, Webhook
from proctor.testing.fake_clock import FakeClock
from proctor.testing.person import PersonActs

_SECRET = re.compile(r"([?&]secret=)[^&#]+")


@dataclass(frozen=True, slots=True)
class RegisteredSecret:
    """What `create_webhook` was given and no read gives back."""

    webhook_id: str
    secret: str


class FakeHub(PersonActs):
    """Implements `proctor.ports.hub.Hub` in memory, and lets a test act as people do.

    - acts of people: `create_repo`, `commit`, `move_tag`, `remove_tag`, `set_ref`, `rename`,
      `set_private`, `delete_repo`, `takeover`, `open_pull_request`, `merge_pull_request`,
      `comment`;
    - faults: `fail_next(call, error, after_effect=...)`, `before_next(call, action)`;
    - records: `calls`, and `moves`: every move of a ref, in order, by "proctor" or "person";
    - news: `on_change` gets each change as the body of a webhook (version 3), after it happened
      and outside any lock, so that it may call the hub again.

    Safe to use from several threads.
    """

    def __init__(
        self,
        *,
        clock: FakeClock | None = None,
        on_change: Callable[[Mapping[str, Json]], None] | None = None,
        subscription: str = "6512f0e5c0a1b2c3d4e5f6a7",
        whoami: Account | None = None,
    ) -> None:
        super().__init__(clock=clock, on_change=on_change, subscription=subscription)
        self.whoami = whoami or Account("bot", ("acme",), "write")
        self.secrets: list[RegisteredSecret] = []
        self._webhooks: list[Webhook] = []

    def account(self) -> Account:
        """Who we are."""
        with self._answering("account"):
            return self.whoami

    def find(self, type: RepoType, name: str) -> Repo:
        """The repo that answers to `name` now."""
        with self._answering("find", name):
            return self._named(type, name).repo

    def refs(self, repo: Repo) -> Mapping[str, Revision]:
        """Full ref name -> sha, as it is now."""
        with self._answering("refs", repo.name):
            return dict(self._same(repo).refs)

    def describe(self, repo: Repo, revision: Revision) -> Description:
        """Card, labels and files of exactly this revision."""
        with self._answering("describe", repo.name):
            return self._same(repo).describe(revision)

    def history(self, repo: Repo, revision: Revision, limit: int = 50) -> Sequence[Commit]:
        """The newest `limit` commits that lead to `revision`, newest first."""
        with self._answering("history", repo.name):
            return self._same(repo).history(revision, limit)

    def snapshot(
        self,
        repo: Repo,
        revision: Revision,
        into: Path,
        stopped: Callable[[], bool] = lambda: False,
    ) -> Path:
        """Write this revision's files below `into` and return their folder. Raises Cancelled
        where `stopped` is true by then."""
        with self._answering("snapshot", repo.name):
            files = self._same(repo).at(revision).files
            if stopped():
                raise Cancelled("the download is no longer wanted")
            folder = into / repo.hub_id / revision
            _write_exactly(folder, files)
            return folder

    def create_tag(self, repo: Repo, tag: str, revision: Revision, message: str) -> None:
        """Make a tag. Raises TagExists, even where it points at `revision` already."""
        with self._answering("create_tag", repo.name):
            with before_effect():
                stored = self._same(repo)
                stored.at(revision)
            if tag_ref(tag) in stored.refs:
                raise TagExists(f"{stored.repo.name} has a tag {tag} already")
            self._move(stored, tag_ref(tag), revision, "proctor")

    def delete_tag(self, repo: Repo, tag: str, revision: Revision) -> None:
        """Remove a tag that points at `revision`. Raises TagGone and TagMoved, `without_effect`."""
        with self._answering("delete_tag", repo.name):
            with before_effect():
                stored = self._same(repo)
                if tag_ref(tag) not in stored.refs:
                    raise TagGone(f"{stored.repo.name} has no tag {tag}")
                if stored.refs[tag_ref(tag)] != revision:
                    raise TagMoved(f"{stored.repo.name} has its tag {tag} elsewhere")
            self._move(stored, tag_ref(tag), None, "proctor")

    def heads(self, owner: str, type: RepoType) -> Iterator[tuple[Repo, Revision | None]]:
        """The head of main of every repo of `owner`."""
        with self._answering("heads", owner):
            owned = [
                (stored.repo, stored.head)
                for stored in self._repos.values()
                if stored.repo.type is type and stored.repo.name.startswith(f"{owner}/")
            ]
        return iter(owned)

    def webhooks(self) -> Sequence[Webhook]:
        """What was registered."""
        with self._answering("webhooks"):
            return tuple(self._webhooks)

    def create_webhook(
        self, url: str, watched: Sequence[str], domains: Sequence[str], secret: str
    ) -> Webhook:
        """Register a webhook. Its secret is kept in `secrets` only."""
        with self._answering("create_webhook"):
            if not watched:
                raise PermanentError("a webhook has to watch something")
            shown = _SECRET.sub(r"\1***", url)
            made = Webhook(self._new_id(), shown, tuple(watched), tuple(domains), disabled=False)
            self._webhooks.append(made)
            self.secrets.append(RegisteredSecret(made.id, secret))
            return made


def _write_exactly(folder: Path, files: Mapping[str, bytes]) -> None:
    """Files that are right already are left as they are: somebody may be reading them."""
    listed = {folder / path: content for path, content in files.items()}
    for found in [path for path in folder.rglob("*") if path.is_file() and path not in listed]:
        found.unlink()
    folder.mkdir(parents=True, exist_ok=True)
    for path, content in listed.items():
        if not path.is_file() or path.read_bytes() != content:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
