"""A verdict counts for the tasks that it was given with: their content is part of the gate (P5)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from proctor.config import load
from proctor.core.errors import Refused
from proctor.core.evidence import Findings, Metric
from proctor.core.names import Revision
from proctor.core.run import RunStatus, StepKind
from proctor.ports.check import Room, Subject
from proctor.testing import FakeCheck

if TYPE_CHECKING:
    from tests.flow.conftest import Walkthrough

FILE = """
stages: [{name: staging}]
pipelines:
  - name: chat
    match: {repo: "acme/*"}
    checks: [{use: lm-eval, name: full, with: {tasks: [sums], include_path: tasks/}}]
    gate: [{metric: full/acc, at_least: 0.8}]
    promote: [PROMOTE]
"""


def harder(folder: Path) -> None:
    """Somebody edits the documents of a task."""
    (folder / "tasks" / "sums.jsonl").write_text('{"q": "17 * 23", "a": "391"}\n')


@pytest.fixture
def tasks(walk: Walkthrough) -> Walkthrough:
    """A pipeline read from a file that names a folder of tasks; the eval itself is a fake."""
    (walk.folder / "tasks").mkdir(parents=True)
    (walk.folder / "tasks" / "sums.jsonl").write_text('{"q": "1 + 1", "a": "2"}\n')
    walk.checks["lm-eval"] = FakeCheck(otherwise=Findings((Metric("acc", 0.9),)))
    restart(walk, promote="staging")
    return walk


def restart(walk: Walkthrough, promote: str = "") -> None:
    """Read the configuration again, as every start does."""
    path = walk.folder / "proctor.yaml"
    path.write_text(FILE.replace("PROMOTE", promote))
    walk.configure(load(path, {}))


def told(walk: Walkthrough, revision: Revision) -> str:
    """Why the run is where it is, and whether Proctor says how to go on."""
    reason = walk.run(revision).reason
    assert "restart Proctor" in reason
    return reason


def test_an_unchanged_folder_promotes(tasks: Walkthrough) -> None:
    good = tasks.pushed_and_settled()
    assert tasks.tags() == {"staging": good, "staging-1": good}


def test_a_restart_without_a_change_keeps_the_verdict(tasks: Walkthrough) -> None:
    restart(tasks)
    good = tasks.pushed_and_settled()
    restart(tasks)
    for step in tasks.ask.promote("acme/bot", good, "staging", by="ada").wake:
        tasks.queue.wake(step)
    tasks.settle()
    assert tasks.tags()["staging"] == good


def test_a_changed_folder_voids_the_verdict_for_a_promotion_by_hand(tasks: Walkthrough) -> None:
    restart(tasks)
    good = tasks.pushed_and_settled()
    harder(tasks.folder)
    restart(tasks)
    with pytest.raises(Refused, match="passed under another gate"):
        tasks.ask.promote("acme/bot", good, "staging", by="ada")
    for step in tasks.ask.rerun("acme/bot", None, None, by="ada").wake:
        tasks.queue.wake(step)
    tasks.settle()
    assert tasks.ask.promote("acme/bot", good, "staging", by="ada").wake


def test_a_folder_changed_between_verdict_and_promotion_moves_nothing(tasks: Walkthrough) -> None:
    good = tasks.push()
    tasks.until(StepKind.PROMOTE)
    harder(tasks.folder)
    restart(tasks, promote="staging")
    tasks.settle()
    assert tasks.tags() == {}
    assert tasks.run(good).status is RunStatus.FAILED
    assert "changed after the verdict" in told(tasks, good)


def test_a_folder_changed_under_a_running_proctor_measures_nothing(tasks: Walkthrough) -> None:
    harder(tasks.folder)
    good = tasks.pushed_and_settled()
    assert tasks.tags() == {}
    assert tasks.run(good).status is RunStatus.HELD
    assert "what is in tasks/ is no longer what Proctor read" in told(tasks, good)
    assert tasks.checks["lm-eval"].measured == []


def test_a_folder_changed_while_it_was_measured_proves_nothing(tasks: Walkthrough) -> None:
    def meanwhile(subject: Subject, room: Room) -> None:
        harder(tasks.folder)

    tasks.checks["lm-eval"].during = meanwhile
    good = tasks.pushed_and_settled()
    assert tasks.tags() == {}
    assert tasks.run(good).status is RunStatus.HELD
    assert told(tasks, good).startswith("inconclusive: ")


def test_a_folder_that_went_away_measures_nothing(tasks: Walkthrough) -> None:
    (tasks.folder / "tasks" / "sums.jsonl").unlink()
    (tasks.folder / "tasks").rmdir()
    good = tasks.pushed_and_settled()
    assert tasks.run(good).status is RunStatus.HELD
    assert "tasks/" in told(tasks, good)


def test_a_run_planned_before_a_restart_does_not_measure_the_new_folder(tasks: Walkthrough) -> None:
    good = tasks.push()
    tasks.until(StepKind.CHECK)
    harder(tasks.folder)
    restart(tasks, promote="staging")
    tasks.settle()
    assert tasks.tags() == {}
    assert tasks.run(good).status is RunStatus.HELD
