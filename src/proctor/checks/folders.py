"""What is in a folder, and whether it has changed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

CACHES: Final = frozenset({"__pycache__", ".ipynb_checkpoints"})
"""Names of folders whose files are nobody's: they are made again from others, and no task is read
out of them."""

_GIT: Final = ".git"
_BESIDE_A_SNAPSHOT: Final = CACHES | {_GIT, ".cache"}  # what a download keeps for itself
_READ: Final = 16 * 2**20  # files up to this size are read whole, bytes


def content_digest(folder: Path) -> str:
    """SHA-256 over names and contents of all files, in hex: equal folders give equal text.

    All that a task could be read from counts, hidden folders too. Git's own folder changes with
    every fetch, so it counts only where a task file lies in it.
    """
    told = hashlib.sha256()
    skipped = CACHES if _tasks_in_git(folder) else CACHES | {_GIT}
    for path in _files(folder, skipped):
        name = path.relative_to(folder).as_posix()
        told.update(f"{name}\0{file_digest(path)}\n".encode(errors="surrogateescape"))
    return told.hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(folder: Path) -> dict[str, str]:
    """One line a file of a downloaded revision that changes when the file does.

    Small files are hashed; of large ones size, time of change and inode are taken, so that
    looking again before and after an eval costs nothing.
    """
    told = {}
    for path in _files(folder, _BESIDE_A_SNAPSHOT):
        state = path.stat()
        told[path.relative_to(folder).as_posix()] = (
            file_digest(path)
            if state.st_size <= _READ
            else f"{state.st_size} {state.st_mtime_ns} {state.st_ino}"
        )
    return told


def differences(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """The files that came, went or changed."""
    return sorted(n for n in before.keys() | after.keys() if before.get(n) != after.get(n))


def _files(folder: Path, skipped: frozenset[str]) -> Iterator[Path]:
    """The files below `folder`, sorted, but for those in folders of the names `skipped`."""
    for path in sorted(folder.rglob("*")):
        if skipped.isdisjoint(path.relative_to(folder).parts) and path.is_file():
            yield path


def _tasks_in_git(folder: Path) -> bool:
    inside = (path.relative_to(folder).parts for path in folder.rglob("*.yaml"))
    return any(_GIT in parts and CACHES.isdisjoint(parts) for parts in inside)
