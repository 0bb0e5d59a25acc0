"""Downloaded revisions on this machine's disk, kept for the next check or try of the same one."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from proctor.core.errors import TransientError
from proctor.core.names import Revision
from proctor.ports.clock import Clock

UNUSED: Final = 6 * 3600.0
"""Seconds that a revision which nobody holds is kept. A try that failed is repeated long before."""

SPARE: Final = 1024**3
"""Bytes to be left free on the disk: what nobody holds makes room for others."""

_MARK: Final = "held"
"""The file in each folder that is locked by whoever holds it. It was modified when it was last
held."""

_GONE: Final = ".gone-"

_RACES: Final = 20
"""How often in a row a folder may be removed while it is made: more often, something else is in
the way, such as a link to a disk that is not there."""


@dataclass(frozen=True, slots=True)
class _Kept:
    used: float
    place: Path
    size: int


@dataclass(frozen=True, slots=True)
class DiskShelf:
    """Implements `proctor.ports.shelf.Shelf` below `folder`, for all processes of this machine.

    What nobody holds is removed: after six hours; the longest unused first, where all of it is
    more than `room` bytes; and where the disk is needed. The last one used stays beyond `room`:
    a try that failed goes on from it.
    """

    folder: Path
    clock: Clock
    room: int

    @contextmanager
    def borrow(self, revision: Revision, size: int) -> Iterator[Path]:
        """See the port. Raises TransientError also where the folder cannot be made."""
        place = self.folder / revision
        try:
            mark = self._hold(place)
        except OSError as error:
            raise TransientError(f"{self.folder} cannot be used: {_told(error)}") from None
        try:
            self._note(mark)
            self._make_room(place, size)
            yield place
        finally:
            self._note(mark)
            os.close(mark)

    def tidy(self) -> int:
        """Remove what is old or too much; returns how many revisions that were."""
        kept = self._kept()
        return self._remove(kept, sum(each.size for each in kept[:-1]) - self.room)

    def _make_room(self, place: Path, size: int) -> None:
        others = [each for each in self._kept() if each.place != place]
        missing = max(0, size - _size(place))
        beyond = sum(each.size for each in others) + size - self.room
        self._remove(others, max(beyond, missing + SPARE - shutil.disk_usage(place).free))
        free = shutil.disk_usage(place).free
        if missing > free:
            raise TransientError(
                f"{missing / 1e9:.1f} GB are needed for this revision and {free / 1e9:.1f} GB are"
                f" free in {self.folder}: make room, or let PROCTOR_HOME be on a larger disk"
            )

    def _kept(self) -> Sequence[_Kept]:
        """The longest unused first."""
        places = list(self.folder.iterdir()) if self.folder.is_dir() else []
        kept = []
        for place in places:
            if place.name.startswith(_GONE):  # left by a process that died
                shutil.rmtree(place, ignore_errors=True)
            else:
                kept.append(_Kept(_last_used(place), place, _size(place)))
        return sorted(kept, key=lambda each: (each.used, each.place))

    def _remove(self, kept: Sequence[_Kept], too_much: int) -> int:
        """Remove what is old, and the longest unused until `too_much` bytes are gone."""
        removed = 0
        for each in kept:
            old = each.used < self.clock.now() - UNUSED
            if (old or too_much > 0) and self._remove_unheld(each.place):
                too_much -= each.size
                removed += 1
        return removed

    def _remove_unheld(self, place: Path) -> bool:
        """Remove a folder in one step for whoever looks for it; False when somebody holds it."""
        gone = place.with_name(f"{_GONE}{self.clock.new_id()}")
        try:
            with (place / _MARK).open("ab") as mark:
                fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
                place.rename(gone)
        except OSError:
            return False
        shutil.rmtree(gone, ignore_errors=True)
        return True

    def _hold(self, place: Path) -> int:
        """The mark, open and locked against removal. The lock of a process that dies is free."""
        races = 0
        while True:
            try:
                place.mkdir(parents=True, exist_ok=True)
                mark = os.open(place / _MARK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            except (FileNotFoundError, FileExistsError):
                races += 1
                if place.is_file() or races == _RACES:
                    raise
                continue  # the folder was removed in between
            try:
                fcntl.flock(mark, fcntl.LOCK_SH)
                if _is_at(place / _MARK, mark):
                    return mark
            except BaseException:
                os.close(mark)
                raise
            os.close(mark)

    def _note(self, mark: int) -> None:
        os.utime(mark, (self.clock.now(), self.clock.now()))


def _told(error: OSError) -> str:
    path = Path(error.filename) if error.filename else None
    if path is not None and path.is_symlink() and not path.exists():
        return f"{path} is a link that leads nowhere; is its disk mounted?"
    return error.strerror or str(error)


def _is_at(path: Path, opened: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(opened))
    except FileNotFoundError:
        return False


def _last_used(place: Path) -> float:
    try:
        return (place / _MARK).stat().st_mtime
    except OSError:
        return 0.0


def _size(place: Path) -> int:
    """Bytes of all files below. What goes away meanwhile does not count."""
    total = 0
    for folder, _, names in os.walk(place):
        for name in names:
            with suppress(OSError):
                total += Path(folder, name).lstat().st_size
    return total
