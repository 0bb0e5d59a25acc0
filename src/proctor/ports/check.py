"""Checks: what measures a revision."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from proctor.core.evidence import Findings
from proctor.core.names import Repo, Revision
from proctor.core.registry import Description


@dataclass(frozen=True, slots=True)
class Subject:
    """What a check measures."""

    repo: Repo
    revision: Revision
    description: Description


@dataclass(frozen=True, slots=True)
class Room:
    """Where a check works and what it may use.

    `work` is an empty folder that is removed afterwards; files to keep are written below
    `artifacts` (paths in `Artifact` are relative to it). `base` is the folder that relative
    paths in the configuration are meant from. `snapshot()` downloads the subject on first use and
    returns its folder; nothing is written there, others may be reading it at the same time. It
    raises Cancelled like `measure` does. `cancelled()` turns true when the work has to stop: stop
    within seconds and raise Cancelled. `progress(done, total, what)` tells people how far it is.
    """

    work: Path
    artifacts: Path
    base: Path
    snapshot: Callable[[], Path]
    cancelled: Callable[[], bool]
    progress: Callable[[int, int, str], None]


class Check(Protocol):
    """Something that measures a revision. Built from validated parameters; reports facts.

    `queue` is "io" for light work and "eval" for work that fills a machine. `time_limit` is the
    longest that `measure` may take, in seconds, the download by `snapshot()` not counted: that has
    bounds of its own.
    """

    @property
    def queue(self) -> str:
        """ "io" or "eval"."""
        ...

    @property
    def time_limit(self) -> float:
        """Seconds."""
        ...

    def measure(self, subject: Subject, room: Room) -> Findings:
        """Measure. Raises CheckFailed (cannot be measured), TransientError (try again later),
        EndedFromOutside (try again, a few times) or Cancelled."""
        ...
