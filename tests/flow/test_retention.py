"""What is old goes; what something that holds now rests on stays (P7)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from proctor.core.names import Revision
from proctor.core.run import RunStatus, StepKind
from proctor.flow.retention import Gone, Retention
from proctor.ports.check import Room, Subject

if TYPE_CHECKING:
    from tests.flow.conftest import Walkthrough

DAY = 24 * 3600.0


class Keeper:
    """Retention of ten days, over a walk whose full check keeps a file in each run."""

    def __init__(self, walk: Walkthrough) -> None:
        self.walk = walk
        self.artifacts = walk.folder / "artifacts"
        self.retention = Retention(walk.ledger, walk.clock, self.artifacts, 10 * DAY)
        walk.checks["full"].during = self.keep_a_file

    def keep_a_file(self, subject: Subject, room: Room) -> None:
        (room.artifacts / "samples").mkdir()
        (room.artifacts / "samples" / "answers.jsonl").write_text("{}\n")

    def files(self, revision: Revision) -> list[Path]:
        """What is kept of all runs of a revision."""
        folders = [self.artifacts / run.id for run in self.walk.runs(revision)]
        return [path for folder in folders for path in folder.rglob("*.jsonl")]

    def bodies(self) -> list[bytes]:
        """Oldest first."""
        with self.walk.ledger.view() as view:
            return [d.body for d in reversed(view.deliveries(limit=1000))]


@pytest.fixture
def keeper(walk: Walkthrough) -> Keeper:
    return Keeper(walk)


def test_files_of_runs_that_nothing_rests_on_go_by_age(walk: Walkthrough, keeper: Keeper) -> None:
    weak, good = walk.pushed_and_settled(0.1), walk.pushed_and_settled(0.9)
    walk.clock.advance(10 * DAY - 3600)
    assert keeper.retention.once() == Gone(0, 0)
    walk.clock.advance(2 * 3600)
    assert keeper.retention.once().runs == 1
    assert not keeper.files(weak)
    assert keeper.files(good)  # in prod
    why: Any = walk.why(weak)
    (run,) = why["runs"]
    assert run["status"] == "held"
    assert run["verdict"]["result"] == "fail"
    assert run["checks"][2]["evidence"]["metrics"][0]["value"] == 0.1


def test_what_left_the_stages_goes_too(walk: Walkthrough, keeper: Keeper) -> None:
    first, second = walk.pushed_and_settled(0.9), walk.pushed_and_settled(0.95)
    walk.clock.advance(11 * DAY)
    assert keeper.retention.once().runs == 1
    assert not keeper.files(first)
    assert keeper.files(second)
    walk.ask.rollback(walk.repo.name, "prod", None, "ann")  # needs no files
    walk.settle()
    assert walk.tags()["prod"] == first


def test_of_a_revision_in_a_stage_the_newest_verdicts_run_stays(
    walk: Walkthrough, keeper: Keeper
) -> None:
    good = walk.pushed_and_settled(0.9)
    for _ in range(2):
        walk.ask.rerun(walk.repo.name, None, None, "ann")
        walk.settle()
    newest, middle, first = walk.runs(good)
    walk.clock.advance(11 * DAY)
    keeper.retention.once()
    kept = {run.id: (keeper.artifacts / run.id).exists() for run in (newest, middle, first)}
    in_prod = next(h for h in _heads(walk) if h[0] == "prod")[1]
    assert kept == {r.id: r is newest or r.id == in_prod for r in (newest, middle, first)}


def _heads(walk: Walkthrough) -> list[tuple[str, str]]:
    """Each stage, and the run of the promotion that put its revision there."""
    with walk.ledger.view() as view:
        found = []
        for head in view.stage_heads():
            promotion = view.promotion(head.promotion_id or "")
            assert promotion is not None
            found.append((head.stage, promotion.run_id))
        return found


@pytest.mark.parametrize(
    ("step", "status"),
    [(StepKind.JUDGE, RunStatus.CHECKING), (StepKind.PROMOTE, RunStatus.PROMOTING)],
)
def test_an_open_run_keeps_its_files_whatever_its_age(
    walk: Walkthrough, keeper: Keeper, step: StepKind, status: RunStatus
) -> None:
    sha = walk.push()
    walk.until(step)  # nobody does it
    walk.clock.advance(100 * DAY)
    assert keeper.retention.once().runs == 0
    assert walk.run(sha).status is status
    assert keeper.files(sha)


def test_a_rollback_under_way_keeps_the_files_of_its_run(walk: Walkthrough, keeper: Keeper) -> None:
    first = walk.pushed_and_settled(0.9)
    walk.pushed_and_settled(0.95)
    walk.clock.advance(11 * DAY)
    walk.ask.rollback(walk.repo.name, "prod", None, "ann")
    assert keeper.retention.once().runs == 0
    assert keeper.files(first)


def test_folders_that_are_no_runs_are_left_alone(walk: Walkthrough, keeper: Keeper) -> None:
    weak = walk.pushed_and_settled(0.1)
    elsewhere = walk.folder / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "file").write_text("x")
    (keeper.artifacts / "notes").mkdir()
    run_folder = keeper.artifacts / walk.run(weak).id
    moved = run_folder.rename(walk.folder / "moved")
    run_folder.symlink_to(moved, target_is_directory=True)
    walk.clock.advance(11 * DAY)
    assert keeper.retention.once().runs == 0
    assert (keeper.artifacts / "notes").exists()
    assert list(moved.rglob("*.jsonl"))


def test_bodies_go_and_what_they_told_stays(walk: Walkthrough, keeper: Keeper) -> None:
    walk.pushed_and_settled(0.1)
    old = len(keeper.bodies())
    walk.clock.advance(11 * DAY)
    walk.pushed_and_settled(0.9)
    before = keeper.bodies()
    with walk.ledger.view() as view:
        events = view.events(limit=1000)
    assert keeper.retention.once().bodies == old
    assert keeper.bodies() == [b""] * old + before[old:]
    assert keeper.retention.once().bodies == 0
    walk.clock.advance(11 * DAY)
    assert keeper.retention.once().bodies == len(before) - old
    with walk.ledger.view() as view:
        assert view.events(limit=1000) == events
        assert {d.disposition.value for d in view.deliveries(limit=1000)} == {"pending"}


def test_it_stops_when_told(walk: Walkthrough, keeper: Keeper) -> None:
    walk.pushed_and_settled(0.1)
    walk.clock.advance(11 * DAY)
    assert keeper.retention.once(lambda: True) == Gone(0, 0)
    assert keeper.retention.once().runs == 1


def test_without_any_files_there_is_nothing_to_do(walk: Walkthrough, tmp_path: Path) -> None:
    assert Retention(walk.ledger, walk.clock, tmp_path / "none", DAY).once() == Gone(0, 0)
