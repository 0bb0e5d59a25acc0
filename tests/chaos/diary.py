"""What the storm did that nobody can read from the ledger or the Hub afterwards.

Times are in seconds since the epoch.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Frozen:
    """A process that stood still from `since` to `until` (None: the whole machine did)."""

    pid: int | None
    since: float
    until: float


@dataclass(frozen=True, slots=True)
class Stopped:
    """A part that was asked to stop (TERM) at `since` and ended at `until`. `killed` says that it
    was killed meanwhile; `status` is None where only its `up` knows. `orphaned`: nobody asked, but
    its `up` was gone from `since` on. `below` are the parts that an `up` had."""

    name: str
    pid: int
    since: float
    until: float
    status: int | None
    killed: bool
    orphaned: bool = False
    below: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Vacancy:
    """A part below `up` (a process id) that was dead from `since` to `until`: then it was started
    again (`filled`), or `up` ended, or was asked to."""

    up: int
    name: str
    since: float
    until: float
    filled: bool


@dataclass(frozen=True, slots=True)
class UpEnded:
    """An `up` that nobody asked to end nor killed; what it said, and whether there was one
    already when it was started."""

    status: int
    said: str
    second: bool


@dataclass(frozen=True, slots=True)
class ByHand:
    """A tag that a person moved from `before` to `revision`, between `since` and `until`. None is
    nowhere."""

    repo: str
    tag: str
    before: str | None
    revision: str | None
    since: float
    until: float


@dataclass(slots=True)
class Diary:
    """`scores` by revision, of every push. `dark` are the times during which the database was in
    trouble. `done` counts the acts by name, `unasked` the parts that ended by themselves (name and
    exit status, None where only `up` knows)."""

    scores: dict[str, float] = field(default_factory=dict)
    frozen: list[Frozen] = field(default_factory=list)
    stopped: list[Stopped] = field(default_factory=list)
    dark: list[tuple[float, float]] = field(default_factory=list)
    by_hand: list[ByHand] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)
    unasked: list[tuple[str, int | None]] = field(default_factory=list)
    vacancies: list[Vacancy] = field(default_factory=list)
    ended: list[UpEnded] = field(default_factory=list)

    @property
    def kills(self) -> int:
        """How many processes were killed -9."""
        return sum(n for what, n in self.done.items() if what.startswith("kill "))

    def hand_behind(
        self, repo: str, ref: str, revision: str | None, at: float, just: float = 0.0
    ) -> ByHand | None:
        """The person's act that a move of a ref at that time was, or None: it was Proctor's.
        `just` widens the time, where the move is not told exactly."""
        for each in self.by_hand:
            same = (each.repo, f"refs/tags/{each.tag}", each.revision) == (repo, ref, revision)
            if same and each.since - just <= at <= each.until + just:
                return each
        return None

    def stood_still(self, pid: int | None, since: float, until: float) -> bool:
        """Whether that process (None: any) was frozen at some time in between."""
        return any(
            (pid is None or f.pid in (pid, None)) and f.since <= until and f.until >= since
            for f in self.frozen
        )
