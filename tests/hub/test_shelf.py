"""The shelf: what is held stays, what nobody uses goes by age and size."""

from __future__ import annotations

import fcntl
import multiprocessing
import shutil
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.context import SpawnProcess
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from proctor.clock import SystemClock
from proctor.core.errors import TransientError
from proctor.core.names import Revision
from proctor.hub.shelf import UNUSED, DiskShelf
from proctor.testing import FakeClock

A, B, C = (Revision(letter * 40) for letter in "abc")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def shelf(tmp_path: Path, clock: FakeClock) -> DiskShelf:
    """Room for 100 bytes."""
    return DiskShelf(tmp_path / "snapshots", clock, room=100)


def used(shelf: DiskShelf, clock: FakeClock, revision: Revision, size: int) -> Path:
    """Download something, and let a minute pass."""
    with shelf.borrow(revision, size) as place:
        (place / "weights").write_bytes(b"w" * size)
    clock.advance(60)
    return place


def test_what_an_earlier_try_left_is_there(shelf: DiskShelf, clock: FakeClock) -> None:
    used(shelf, clock, A, 10)
    with shelf.borrow(A, 10) as place:
        assert (place / "weights").read_bytes() == b"w" * 10


def test_what_nobody_uses_goes_after_hours(shelf: DiskShelf, clock: FakeClock) -> None:
    first, second = used(shelf, clock, A, 10), used(shelf, clock, B, 10)
    clock.advance(UNUSED - 90)
    assert shelf.tidy() == 1
    assert not first.exists()
    assert second.exists()
    clock.advance(60)
    used(shelf, clock, C, 10)  # borrowing one tidies too
    assert not second.exists()


def test_a_use_makes_it_young_again(shelf: DiskShelf, clock: FakeClock) -> None:
    with shelf.borrow(A, 10) as place:
        clock.advance(UNUSED + 1)
    assert shelf.tidy() == 0
    assert place.exists()


def test_the_longest_unused_make_room(shelf: DiskShelf, clock: FakeClock) -> None:
    first, second = used(shelf, clock, A, 50), used(shelf, clock, B, 50)
    used(shelf, clock, A, 50)
    third = used(shelf, clock, C, 40)
    assert [p.exists() for p in (first, second, third)] == [True, False, True]


def test_the_last_one_stays_even_if_it_is_larger_than_the_room(
    shelf: DiskShelf, clock: FakeClock
) -> None:
    small, large = used(shelf, clock, A, 10), used(shelf, clock, B, 500)
    assert not small.exists()
    assert shelf.tidy() == 0
    assert large.exists()
    used(shelf, clock, A, 10)
    assert not large.exists()


def test_what_is_held_is_never_removed(shelf: DiskShelf, clock: FakeClock) -> None:
    with shelf.borrow(A, 80) as place, shelf.borrow(A, 80):
        (place / "weights").write_bytes(b"w" * 80)
        clock.advance(UNUSED + 1)
        assert shelf.tidy() == 0
        used(shelf, clock, B, 80)
        assert (place / "weights").exists()


def test_a_revision_that_the_disk_cannot_take_waits(shelf: DiskShelf, clock: FakeClock) -> None:
    kept = used(shelf, clock, A, 10)
    with pytest.raises(TransientError, match="make room"), shelf.borrow(B, 2**60):
        pytest.fail("there is no such disk")
    assert not kept.exists()  # it was asked to make room first
    with shelf.borrow(B, 10):
        pass


def test_a_disk_that_is_needed_is_not_held_on_to(
    tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = shutil.disk_usage(tmp_path)._replace(free=2**40)  # whatever others write meanwhile
    monkeypatch.setattr(shutil, "disk_usage", lambda _: disk)
    shelf = DiskShelf(tmp_path / "snapshots", clock, room=2**60)
    kept = used(shelf, clock, A, 10)
    with shelf.borrow(B, disk.free - 2**29):
        assert not kept.exists()


@pytest.mark.parametrize("in_the_way", ["snapshots", f"snapshots/{A}"])
def test_a_place_that_cannot_be_made(shelf: DiskShelf, tmp_path: Path, in_the_way: str) -> None:
    (tmp_path / in_the_way).parent.mkdir(exist_ok=True)
    (tmp_path / in_the_way).touch()
    with pytest.raises(TransientError, match="cannot be used"), shelf.borrow(A, 1):
        pytest.fail("there is no such folder")


@pytest.mark.parametrize("link", ["snapshots", f"snapshots/{A}"])
def test_a_link_to_a_disk_that_is_not_mounted(shelf: DiskShelf, tmp_path: Path, link: str) -> None:
    (tmp_path / link).parent.mkdir(exist_ok=True)
    (tmp_path / link).symlink_to(tmp_path / "not-mounted", target_is_directory=True)
    with pytest.raises(TransientError, match="a link that leads nowhere"), shelf.borrow(A, 1):
        pytest.fail("there is no such folder")
    (tmp_path / "not-mounted").mkdir()
    with shelf.borrow(A, 1) as place:
        assert place.is_dir()


def test_what_a_dead_process_was_removing_goes(shelf: DiskShelf, clock: FakeClock) -> None:
    used(shelf, clock, A, 1)
    left = shelf.folder / ".gone-x"
    left.mkdir()
    (left / "weights").touch()
    assert shelf.tidy() == 0
    assert not left.exists()


def test_nobody_loses_what_they_hold_to_those_who_tidy(tmp_path: Path) -> None:
    """Holders and removers race for the same folder: a moment after a use it is fair game."""
    folder, over = tmp_path / "snapshots", threading.Event()
    eager = DiskShelf(folder, _Late(), room=0)

    def tidy() -> None:
        while not over.is_set():
            eager.tidy()

    def hold(number: int) -> bool:
        with DiskShelf(folder, SystemClock(), room=10**6).borrow(A, 1) as place:
            (place / str(number)).touch()
            return all((place / str(number)).exists() for _ in range(20))

    with ThreadPoolExecutor(6) as pool:
        tidiers = [pool.submit(tidy) for _ in range(2)]
        try:
            kept = list(pool.map(hold, range(300)))
        finally:
            over.set()
    assert all(kept)
    assert [tidier.result() for tidier in tidiers] == [None, None]


def test_who_waited_while_it_was_removed_gets_a_new_one(shelf: DiskShelf, clock: FakeClock) -> None:
    place = used(shelf, clock, A, 1)
    waits = threading.Event()

    def hold() -> bool:
        waits.set()
        with shelf.borrow(A, 1) as mine:
            return mine.is_dir() and not (mine / "weights").exists()

    with ThreadPoolExecutor(1) as pool:
        with (place / "held").open("ab") as mark:
            fcntl.flock(mark, fcntl.LOCK_EX)
            holder = pool.submit(hold)
            assert waits.wait(60)
            time.sleep(0.2)  # until it waits for the lock
            place.rename(place.with_name(".gone-x"))
        assert holder.result(60)


class _Late(SystemClock):
    """A day ahead: to it, nothing was used lately."""

    def now(self) -> float:
        return super().now() + 24 * 3600


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[SpawnProcess]:
    """Another process that holds a revision until it is killed."""
    context = multiprocessing.get_context("spawn")
    held = context.Event()
    process = context.Process(target=_hold_for_ever, args=(tmp_path / "snapshots", held))
    process.start()
    assert held.wait(60)
    yield process
    process.kill()
    process.join()


def test_another_process_holds_too_and_its_death_lets_go(
    tmp_path: Path, holder: SpawnProcess
) -> None:
    eager = DiskShelf(tmp_path / "snapshots", _Late(), room=0)
    assert eager.tidy() == 0
    holder.kill()
    holder.join()
    assert eager.tidy() == 1


def _hold_for_ever(folder: Path, held: Event) -> None:
    with DiskShelf(folder, SystemClock(), room=10**6).borrow(A, 1):
        held.set()
        threading.Event().wait()
