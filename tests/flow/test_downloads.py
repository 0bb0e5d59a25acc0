"""What a check downloads: shared by its tries, held while it measures, gone later."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from proctor.core.errors import TransientError
from proctor.core.run import RunStatus, StepKind
from proctor.hub.shelf import UNUSED, DiskShelf
from proctor.ports.check import Room, Subject
from proctor.testing import FakeClock

if TYPE_CHECKING:
    from tests.flow.conftest import Walkthrough


def test_every_try_goes_on_in_the_same_folder(walk: Walkthrough) -> None:
    places: list[Path] = []

    def fail_once(subject: Subject, room: Room) -> None:
        places.append(room.snapshot())
        if len(places) == 1:
            (places[0] / "half").touch()
            raise TransientError("the machine is busy")
        assert room.work not in places[1].parents

    walk.checks["full"].during = fail_once
    good = walk.pushed_and_settled()
    assert walk.run(good).status is RunStatus.PROMOTED
    assert len(places) == 2
    assert places[0] == places[1]
    assert (places[1] / "model.safetensors").read_bytes() == b"weights 1"


def test_it_is_held_while_it_is_measured_and_goes_after_hours(walk: Walkthrough) -> None:
    tomorrow = FakeClock(start=walk.clock.now() + 4 * UNUSED)
    shelf = DiskShelf(walk.shelf.folder, tomorrow, room=10**6)
    seen: list[Path] = []

    def measure(subject: Subject, room: Room) -> None:
        seen.append(room.snapshot())
        assert shelf.tidy() == 0
        assert seen[0].is_dir()

    walk.checks["full"].during = measure
    good = walk.pushed_and_settled()
    assert walk.run(good).status is RunStatus.PROMOTED
    assert seen[0].is_dir()
    assert shelf.tidy() == 1
    assert not seen[0].exists()


def test_a_download_ends_when_the_worker_stops(walk: Walkthrough) -> None:
    asked: list[bool] = []
    whole: list[Path] = []

    def need_the_files(subject: Subject, room: Room) -> None:
        walk.hub.before_next("snapshot", walk.stop.set)
        asked.append(True)
        whole.append(room.snapshot())

    walk.checks["card"].during = need_the_files
    good = walk.push()
    step = walk.until(StepKind.CHECK)
    while not asked:
        walk.worker.perform(step.id)
        if not asked:
            step = walk.until(StepKind.CHECK)
    with walk.ledger.view() as view:
        (attempt,) = view.attempts(StepKind.CHECK, step.subject)
    assert attempt.outcome is not None
    assert attempt.outcome.endswith("given back: the worker stops")
    assert not whole
    walk.stop.clear()
    walk.checks["card"].during = None
    walk.settle()
    assert walk.run(good).status is RunStatus.PROMOTED


def test_a_download_ends_when_a_newer_push_supersedes_it(walk: Walkthrough) -> None:
    began: list[bool] = []
    whole: list[Path] = []

    def push_meanwhile() -> None:
        walk.push(0.95)
        walk.deliver_all()
        walk.drain(walk.worker_named("w2"))
        walk.clock.advance(45)  # past two thirds of a lease that is not renewed any more

    def need_the_files(subject: Subject, room: Room) -> None:
        if not began:
            began.append(True)
            walk.hub.before_next("snapshot", push_meanwhile)
            whole.append(room.snapshot())

    walk.checks["full"].during = need_the_files
    first = walk.push()
    walk.settle()
    assert not whole
    assert walk.run(first).status is RunStatus.SUPERSEDED
    assert walk.runs()[0].status is RunStatus.PROMOTED
