"""What is written down before the command starts, so that a later process can find its remains."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

import psutil

MARK: Final = "SUPERVISED_AS"
"""The environment variable that every supervised process inherits; its value names the attempt."""

RECORD: Final = "supervised.json"
OUTCOME: Final = "outcome.json"


@dataclass(frozen=True, slots=True)
class Identity:
    """A process for sure: its id and its start time (seconds since the epoch), as ids recur."""

    pid: int
    started: float

    @classmethod
    def of(cls, pid: int) -> Identity:
        """The process that has this id now. Raises psutil.NoSuchProcess."""
        return cls(pid, psutil.Process(pid).create_time())

    def alive(self) -> bool:
        """Whether exactly this process runs (a zombie does not)."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started) < 0.05
            return same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False


@dataclass(frozen=True, slots=True)
class Record:
    """One supervised command. `group` is the leader of its process group, None until it runs.

    `boot` names this boot of this machine: ids of another one mean nothing here.
    """

    mark: str
    boot: str
    owner: Identity
    supervisor: Identity | None = None
    group: Identity | None = None

    def write(self, folder: Path) -> None:
        """Replace the record in `folder`, all or nothing."""
        write_json(folder / RECORD, asdict(self))

    def with_group(self, pid: int) -> Record:
        """The same, once the command has a process."""
        return replace(self, group=Identity.of(pid))


def read(path: Path) -> Record | None:
    """The record in this file; None when there is none that can be read."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        supervisor, group = told["supervisor"], told["group"]
        return Record(
            mark=str(told["mark"]),
            boot=str(told["boot"]),
            owner=Identity(**told["owner"]),
            supervisor=Identity(**supervisor) if supervisor else None,
            group=Identity(**group) if group else None,
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_json(path: Path, value: Mapping[str, object]) -> None:
    """Write atomically: readers see the old file or the new one."""
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(json.dumps(value), encoding="utf-8")
    fresh.replace(path)


def boot_id() -> str:
    """Changes with every boot, differs between machines."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return f"{psutil.boot_time():.0f}"
