"""What is in a folder, and whether it has changed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_SKIPPED: Final = frozenset({"__pycache__", ".ipynb_checkpoints", ".git", ".cache"})
_READ: Final = 16 * 2**20  # files up to this size are read whole, bytes


def files(folder: Path) -> Iterator[Path]:
    """The files below `folder`, sorted; caches and hidden bookkeeping left out."""
    for path in sorted(folder.rglob("*")):
        if _SKIPPED.isdisjoint(path.relative_to(folder).parts) and path.is_file():
            yield path


def content_digest(folder: Path) -> str:
    """SHA-256 over names and contents of all files, in hex: equal folders give equal text."""
    told = hashlib.sha256()
    for path in files(folder):
        name = path.relative_to(folder).as_posix()
        told.update(f"{name}\0{file_digest(path)}\n".encode(errors="surrogateescape"))
    return told.hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(folder: Path) -> dict[str, str]:
    """One line a file that changes when the file does.

    Small files are hashed; of large ones size, time of change and inode are taken, so that
    looking again before and after an eval costs nothing.
    """
    told = {}
    for path in files(folder):
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
