"""A download that is no longer wanted ends within seconds, wherever it waits."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from huggingface_hub import CommitOperationAdd, HfApi, close_session
from huggingface_hub.utils import WeakFileLock  # type: ignore[attr-defined]  # exported at run time only

from proctor.core.errors import Cancelled
from proctor.core.names import RepoType, Revision
from proctor.hub import HuggingFaceHub, Patience
from proctor.localhub import LocalHub

SOON = 20.0
"""Seconds. Every wait below would be longer: 25 or more."""

WEIGHTS = b"w" * 200_000


class Model:
    """A repo with two files on a Hub of this machine, and an adapter of full patience."""

    def __init__(self, server: LocalHub) -> None:
        self.server = server
        token = server.create_user("bot", orgs=["acme"], role="admin")
        api = HfApi(endpoint=server.url, token=token)
        api.create_repo("acme/bot")
        made = api.create_commit(
            "acme/bot",
            [CommitOperationAdd("config.json", b"{}"), CommitOperationAdd("w.bin", WEIGHTS)],
            commit_message="Train",
        )
        self.revision = Revision(made.oid)
        self.token = token
        self.hub = self.adapter()
        self.repo = self.hub.find(RepoType.MODEL, "acme/bot")

    def adapter(self) -> HuggingFaceHub:
        return HuggingFaceHub(self.server.url, self.token, Patience())

    def struck(self) -> bool:
        """Whether a request has met with trouble."""
        return any(rule.hits for rule in self.server.faults.rules())

    def stopped_after(
        self, seconds: float, into: Path, since: Callable[[], bool] = lambda: True
    ) -> float:
        """Seconds from when it was no longer wanted, which is some after `since()` turned true,
        to Cancelled."""
        until = math.inf

        def stopped() -> bool:
            nonlocal until
            if until == math.inf and since():
                until = time.monotonic() + seconds
            return time.monotonic() >= until

        with pytest.raises(Cancelled):
            self.hub.snapshot(self.repo, self.revision, into, stopped)
        return time.monotonic() - until

    def whole(self, into: Path) -> None:
        """A next try gets all of it, of another adapter: what this one was asked to wait for it
        waits for."""
        self.server.faults.clear()
        folder = self.adapter().snapshot(self.repo, self.revision, into)
        assert (folder / "w.bin").read_bytes() == WEIGHTS


@pytest.fixture
def model(tmp_path: Path) -> Iterator[Model]:
    with LocalHub(tmp_path / "hub") as server:
        yield Model(server)
        server.faults.clear()
        close_session()


@pytest.mark.parametrize(
    "path",
    ["/api/models/acme/bot/revision/", "/resolve/[0-9a-f]+/config.json", "/_lfs/"],
    ids=["what it holds", "a file's head", "a file's body"],
)
def test_a_hub_that_hangs(model: Model, tmp_path: Path, path: str) -> None:
    model.server.faults.add(path, "hang", hang_s=60, times=9)
    assert model.stopped_after(0.5, tmp_path / "into", model.struck) < SOON
    model.whole(tmp_path / "into")


def test_a_hub_that_asks_to_wait(model: Model, tmp_path: Path) -> None:
    model.server.faults.add("/_lfs/", "429", retry_after_s=25, times=9)
    assert model.stopped_after(0.5, tmp_path / "into", model.struck) < SOON
    model.whole(tmp_path / "into")


def test_a_download_that_waits_for_another(model: Model, tmp_path: Path) -> None:
    staging = tmp_path / "into" / ".partial"
    staging.mkdir(parents=True)
    lock = staging / f"{model.repo.hub_id}-{model.revision}.lock"
    with WeakFileLock(lock):
        assert model.stopped_after(0.5, tmp_path / "into") < SOON
