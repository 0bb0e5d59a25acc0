"""Every fault of the Local Hub on every call in turn: the walk still ends right, and no tag is
touched more often than it has to be.

The worker is in this process; ledger, Hub and its client are real, time is not.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import CommitOperationAdd, HfApi
from tests.chaos.conftest import POLICY, Trap, fault, trapped
from tests.chaos.hub_record import HubRecord, witness
from tests.flow.conftest import Mail, Walkthrough

from proctor.core.names import Revision
from proctor.core.run import RunStatus
from proctor.hub import HuggingFaceHub, Patience
from proctor.localhub import FAULTS, LocalHub
from proctor.ports.check import Room, Subject

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

IMPATIENT = Patience(connect=1, read=0.15, answer=2, attempts=2, backoff=0.01, longest_wait=0.02)

ALL = bool(os.environ.get("CHAOS_STORMS"))
TURNS = 5
"""Without `make chaos` each fault strikes every fifth call: the seven of them begin at different
ones, so that each call meets one or two faults."""


class Bench:
    """A Local Hub with one user, and walks that talk to it."""

    def __init__(self, folder: Path, hub: LocalHub, witness_url: str) -> None:
        self.folder, self.hub, self.record = folder, hub, HubRecord(hub.root)
        hub.create_org("acme")
        self._token = hub.create_user("robot", orgs=["acme"])
        self.api = HfApi(endpoint=hub.url, token=self._token)
        self.witness = self.api.create_webhook(
            url=witness_url, watched=[{"type": "org", "name": "acme"}], domains=["repo"]
        ).id
        self._repos = 0

    def walk(self, trap: Trap) -> None:
        """A good push in a fresh repo, and another one while the trap is set; then all is as it
        should be."""
        self._repos += 1
        repo = f"acme/fault-{self._repos}"
        walk = Walkthrough(self.folder / str(self._repos))
        try:
            walk.checks["full"].during = _download
            worker = walk.worker_named(
                "w1", hub=HuggingFaceHub(self.hub.url, self._token, IMPATIENT)
            )
            self.api.create_repo(repo)
            told = 0
            shas: list[Revision] = []
            for n in (1, 2):
                commit = self.api.create_commit(
                    repo,
                    [CommitOperationAdd("score.txt", str(n).encode())],
                    commit_message=f"push {n}",
                )
                shas.append(Revision(commit.oid))
                walk.finds(shas[-1], 0.9)
                with trapped(self.hub, trap if n == 2 else _harmless()):
                    for _ in range(100):
                        told += self._hear(walk, repo, told)
                        busy = walk.deliver_all() + walk.drain(worker)
                        if not busy and not walk.open_steps():
                            break
                        if not busy:
                            walk.clock.advance(15)
                            walk.sweep.once()
            self._ends_right(walk, repo, shas)
        finally:
            walk.close()

    def _hear(self, walk: Walkthrough, repo: str, told: int) -> int:
        """Put what the Hub has told since on its way; returns how much."""
        sent = [
            d
            for d in reversed(self.hub.deliveries(self.witness))
            if d["payload"]["repo"]["name"] == repo
        ][told:]
        walk.mail += [Mail(d["id"], d["payload"]) for d in sent]
        return len(sent)

    def _ends_right(self, walk: Walkthrough, repo: str, shas: list[Revision]) -> None:
        assert walk.open_steps() == ()
        (run,) = walk.runs(shas[1])
        assert run.status is RunStatus.PROMOTED, run
        refs = self.record.refs(repo)
        assert refs["refs/tags/staging"] == refs["refs/tags/prod"] == shas[1]
        assert (refs["refs/tags/prod-1"], refs["refs/tags/prod-2"]) == (shas[0], shas[1])
        moved = [m for m in self.record.moves(self.witness) if m.repo == repo]
        tags = [m for m in moved if m.ref.startswith("refs/tags/")]
        assert len(tags) == 3 + 5, tags
        with walk.ledger.view() as view:
            assert not view.holds()
            assert len(view.promotions()) == 4
            (known,) = view.repos_named(repo)
            assert not view.unmatched_operations(known.repo.hub_id)
        assert walk.dispositions().count("echo") == 8
        assert "pending" not in walk.dispositions()


def _download(subject: Subject, room: Room) -> None:
    assert (room.snapshot() / "score.txt").is_file()


def _ours(method: str, target: str) -> bool:
    """Not the pushes."""
    return "/commit/" not in target and "/preupload/" not in target


def _harmless() -> Trap:
    return Trap(_ours, 0, fault("500"))


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("faults")
    with LocalHub(folder / "hub", deliveries=POLICY) as hub, witness() as url:
        yield Bench(folder, hub, url)


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_at_any_call_changes_nothing(bench: Bench, kind: str) -> None:
    calls = _harmless()
    bench.walk(calls)
    assert len(calls.calls) > 25
    first, step = (1, 1) if ALL else (1 + FAULTS.index(kind) % TURNS, TURNS)
    for nth in range(first, len(calls.calls) + 1, step):
        trap = Trap(_ours, nth, fault(kind, hang_s=0.2))
        try:
            bench.walk(trap)
        except AssertionError as error:
            raise AssertionError(f"{kind} at call {nth}, {trap.calls[nth - 1]}: {error}") from error
        assert trap.sprung.is_set()
