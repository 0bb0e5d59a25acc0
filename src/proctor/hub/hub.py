"""The Hub over HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from proctor.core.names import Repo, RepoType, Revision
from proctor.core.registry import Commit, Description
from proctor.hub import reads, tags, webhooks
from proctor.hub.patience import Patience
from proctor.hub.snapshot import snapshot
from proctor.hub.wire import Wire
from proctor.ports.hub import Account, Webhook


class HuggingFaceHub:
    """Implements `proctor.ports.hub.Hub` over huggingface_hub, for any server that keeps the
    Hub's contract.

    `endpoint` is its address ("https://huggingface.co"), `token` None for anonymous reading.
    Nothing is read from the environment. Safe to use from several threads. Sets huggingface_hub's
    client factory for the process (see `proctor.hub.client`) at the first call.
    """

    def __init__(
        self, endpoint: str, token: str | None = None, patience: Patience | None = None
    ) -> None:
        self._wire = Wire(endpoint, token, patience or Patience())

    def __repr__(self) -> str:
        return f"HuggingFaceHub({self._wire.endpoint!r})"

    def account(self) -> Account:
        """Who we are. Raises AccessDenied where no token is set."""
        return reads.account(self._wire)

    def find(self, type: RepoType, name: str) -> Repo:
        """The repo that answers to `name` now, under its current name."""
        return reads.find(self._wire, type, name)

    def refs(self, repo: Repo) -> Mapping[str, Revision]:
        """Every branch, tag and pull request: full ref name -> the commit that the Hub tells."""
        return reads.refs(self._wire, repo)

    def describe(self, repo: Repo, revision: Revision) -> Description:
        """Card, labels and files of exactly this revision."""
        return reads.describe(self._wire, repo, revision)[1]

    def history(self, repo: Repo, revision: Revision, limit: int = 50) -> Sequence[Commit]:
        """The newest `limit` commits that lead to `revision`, newest first."""
        return reads.history(self._wire, repo, revision, limit)

    def snapshot(
        self,
        repo: Repo,
        revision: Revision,
        into: Path,
        stopped: Callable[[], bool] = lambda: False,
    ) -> Path:
        """Exactly this revision's files, verified, in `into/<hub_id>/<revision>`. Raises
        Cancelled within seconds after `stopped` turned true."""
        return snapshot(self._wire, repo, revision, into, stopped)

    def create_tag(self, repo: Repo, tag: str, revision: Revision, message: str) -> None:
        """Ask for a tag, once. Raises TagExists, even where it points at `revision`. On
        an error that is not `without_effect` it may have been made all the same: read `refs`."""
        tags.create_tag(self._wire, repo, tag, revision, message)

    def delete_tag(self, repo: Repo, tag: str, revision: Revision) -> None:
        """Ask for a tag's removal, once, right after a look that it points at `revision`. Raises
        TagGone and TagMoved. On an error that is not `without_effect` it may be gone all the
        same: read `refs`."""
        tags.delete_tag(self._wire, repo, tag, revision)

    def heads(self, owner: str, type: RepoType) -> Iterator[tuple[Repo, Revision | None]]:
        """The head of main of every repo of `owner`, asked for page by page."""
        return reads.heads(self._wire, owner, type)

    def webhooks(self) -> Sequence[Webhook]:
        """The webhooks of this token's user. A secret within a URL is blotted out."""
        return webhooks.webhooks(self._wire)

    def create_webhook(
        self, url: str, watched: Sequence[str], domains: Sequence[str], secret: str
    ) -> Webhook:
        """Register a webhook, once; `watched` are users or orgs ("acme"), or repos ("acme/bot",
        "datasets/acme/questions"). Compare what it returns with what was asked for."""
        return webhooks.create_webhook(self._wire, url, watched, domains, secret)
