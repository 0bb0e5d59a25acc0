"""Finding all processes of a command, and ending them."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import psutil

from proctor.checks.supervisor.record import MARK, RECORD, Identity, Record, boot_id, read

GRACE_S: Final = 2.0
"""Between asking (TERM) and killing (KILL), seconds."""

_GIVE_UP_S = 5.0  # a process that KILL does not end within this hangs in the kernel


def family(mark: str, leader: int | None, parent: int | None = None) -> list[psutil.Process]:
    """The running processes of a command: descendants of `parent`, members of the group led by
    `leader`, and whoever carries `mark` in the environment. Never this process."""
    found: dict[int, psutil.Process] = {}
    if parent is not None:
        with contextlib.suppress(psutil.Error):
            found |= {p.pid: p for p in psutil.Process(parent).children(recursive=True)}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if (leader is not None and os.getpgid(process.pid) == leader) or (
                process.environ().get(MARK) == mark
            ):
                found[process.pid] = process
    found.pop(os.getpid(), None)
    return [p for p in found.values() if _runs(p)]


def _runs(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def end(find: Callable[[], Sequence[psutil.Process]], grace: float = GRACE_S) -> list[int]:
    """TERM all that `find` gives, wait up to `grace` seconds, then KILL until none is left.

    Returns the ids of those that could not be ended.
    """
    asked: set[int] = set()
    deadline = time.monotonic() + grace
    while (left := find()) and time.monotonic() < deadline:
        for process in left:
            if process.pid not in asked:
                asked.add(process.pid)
                with contextlib.suppress(psutil.Error):
                    process.terminate()
        time.sleep(0.05)
    deadline = time.monotonic() + _GIVE_UP_S
    while (left := find()) and time.monotonic() < deadline:
        for process in left:
            with contextlib.suppress(psutil.Error):
                process.kill()
        time.sleep(0.02)
    return [process.pid for process in left]


def end_recorded(record: Record, grace: float = GRACE_S) -> list[int]:
    """End what is left of a recorded command. Returns the ids of what could not be ended."""
    if record.boot != boot_id():
        return []  # another boot or machine: nothing here can be ours
    return end(lambda: _remains(record), grace)


def _remains(record: Record) -> list[psutil.Process]:
    left = family(record.mark, _leader(record))
    if record.supervisor is not None and record.supervisor.alive():
        left.append(psutil.Process(record.supervisor.pid))
    return left


def _leader(record: Record) -> int | None:
    """The group's id while it can only be ours: its leader runs, or that id is free."""
    if record.group is None:
        return None
    ours = record.group.alive() or not psutil.pid_exists(record.group.pid)
    return record.group.pid if ours else None


def reap(folder: Path) -> list[int]:
    """End what earlier attempts left running whose records lie up to two folders below `folder`.

    An attempt whose owner still runs is left alone. Returns the ids of what could not be ended.
    """
    left: list[int] = []
    for pattern in (RECORD, f"*/{RECORD}", f"*/*/{RECORD}"):
        for path in folder.glob(pattern):
            record = read(path)
            if record is not None and not _owned(record):
                left += end_recorded(record)
                path.unlink(missing_ok=True)
    return left


def _owned(record: Record) -> bool:
    return record.boot != boot_id() or record.owner.alive()


def childless() -> bool:
    """Whether no child of this process runs; False where that cannot be told."""
    try:
        return not any(_runs(child) for child in psutil.Process().children())
    except psutil.Error:
        return False


def identity_of_self() -> Identity:
    """This process."""
    return Identity.of(os.getpid())
