"""A pass over many unchanged repos costs the Hub a list, and no call for each of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import HfApi

from proctor.clock import SystemClock
from proctor.core.gate import AtLeast
from proctor.core.names import RepoType
from proctor.core.record import KnownRepo, RefChange
from proctor.core.rule import CheckSpec, Match, Pipeline, Rules, Stage
from proctor.flow.reconcile import MAIN, Reconcile
from proctor.hub import HuggingFaceHub
from proctor.ledger import SqlLedger, open_ledger
from proctor.localhub import LocalHub
from proctor.testing import FakeQueue

REPOS = 1200


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[SqlLedger]:
    opened = open_ledger(f"sqlite:///{tmp_path}/ledger.db", SystemClock())
    yield opened
    opened.close()


@pytest.mark.slow
def test_many_unchanged_repos_cost_no_call_each(tmp_path: Path, ledger: SqlLedger) -> None:
    pipeline = Pipeline(
        name="all",
        match=Match("acme/*"),
        checks=(CheckSpec("files", "files"),),
        gate=(AtLeast("files/weight_files", 0),),
        promote=("prod",),
    )
    rules = Rules(stages=(Stage("prod"),), pipelines=(pipeline,))
    with LocalHub(tmp_path / "hub") as hub:
        hub.create_org("acme")
        token = hub.create_user("ada", orgs=["acme"])
        api = HfApi(endpoint=hub.url, token=token)
        for number in range(REPOS):
            api.create_repo(f"acme/model-{number}")
        ours, clock = HuggingFaceHub(hub.url, token), SystemClock()
        with ledger.transaction() as tx:
            for repo, head in ours.heads("acme", RepoType.MODEL):
                tx.put_repo(KnownRepo(repo, clock.now(), clock.now()))
                tx.put_ref(RefChange(clock.new_id(), repo.hub_id, MAIN, None, head, clock.now()))
        # Any call about a single repo meets a closed door.
        hub.faults.add("/api/(models|datasets|spaces)/", "500", times=10_000)
        reconcile = Reconcile(ledger, ours, FakeQueue(), clock, rules)
        drift = reconcile.once()
        assert (drift.heads, drift.missed, drift.looks, drift.trouble) == (REPOS, (), 0, ())

        hub.faults.clear()
        pushed = api.upload_file(path_or_fileobj=b"x", path_in_repo="x.txt", repo_id="acme/model-7")
        assert pushed
        assert reconcile.once().missed == ("acme/model-7",)
