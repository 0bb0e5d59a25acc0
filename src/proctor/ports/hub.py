"""The Hub, as the walk needs it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from proctor.core.names import Repo, RepoType, Revision
from proctor.core.registry import Commit, Description


@dataclass(frozen=True, slots=True)
class Account:
    """Who a token belongs to and what it may do. `role` is read, write, fineGrained or unknown."""

    name: str
    orgs: tuple[str, ...]
    role: str


@dataclass(frozen=True, slots=True)
class Webhook:
    """A webhook as registered on the Hub (its secret is never read back)."""

    id: str
    url: str
    watched: tuple[str, ...]
    domains: tuple[str, ...]
    disabled: bool


class Hub(Protocol):
    """The Hub. Every call is bounded in time and retried by error class inside the adapter.

    Errors: RepoGone, RepoReplaced, RevisionGone, AccessDenied (TokenRefused where no call of ours
    is taken), TransientError, PermanentError.
    Calls that take a `Repo` follow renames and verify its hub_id (RepoReplaced).

    An error of a call that writes is `without_effect` only where the Hub certainly did nothing: it
    was not reached, it refused, or nothing was sent. When in doubt it is not.
    """

    def account(self) -> Account:
        """Who we are."""
        ...

    def find(self, type: RepoType, name: str) -> Repo:
        """The repo that answers to `name` now, under its current name."""
        ...

    def refs(self, repo: Repo) -> Mapping[str, Revision]:
        """Every branch, tag and pull request: full ref name -> sha of the commit, as it is now."""
        ...

    def describe(self, repo: Repo, revision: Revision) -> Description:
        """Card, labels and files of exactly this revision."""
        ...

    def history(self, repo: Repo, revision: Revision, limit: int = 50) -> Sequence[Commit]:
        """The newest `limit` commits that lead to `revision`, newest first."""
        ...

    def snapshot(
        self,
        repo: Repo,
        revision: Revision,
        into: Path,
        stopped: Callable[[], bool] = lambda: False,
    ) -> Path:
        """Download exactly this revision below `into`, verified against the listed hashes, and
        return its folder. Never falls back to another revision.

        What lies below `into` already and is intact is not fetched again. `stopped` is asked all
        the while, from any thread: within seconds after it turned true Cancelled is raised, and
        what is whole by then stays for the next try."""
        ...

    def create_tag(self, repo: Repo, tag: str, revision: Revision, message: str) -> None:
        """Ask for a tag. Raises TagExists. The answer proves nothing: read `refs` back."""
        ...

    def delete_tag(self, repo: Repo, tag: str, revision: Revision) -> None:
        """Ask for the removal of a tag that was seen to point at `revision`.

        The Hub's own removal has no condition: the tag is looked at again right before. Raises
        TagGone, TagMoved where it points elsewhere, and TransientError where the look could not
        be had at once: all `without_effect` when that look was the reason. Read `refs` back."""
        ...

    def heads(self, owner: str, type: RepoType) -> Iterator[tuple[Repo, Revision | None]]:
        """The head of main of every repo of `owner`, by pages of up to 1,000."""
        ...

    def webhooks(self) -> Sequence[Webhook]:
        """The webhooks of this token's user."""
        ...

    def create_webhook(
        self, url: str, watched: Sequence[str], domains: Sequence[str], secret: str
    ) -> Webhook:
        """Register a webhook; `watched` are users or orgs ("acme"), or repos ("acme/bot")."""
        ...
