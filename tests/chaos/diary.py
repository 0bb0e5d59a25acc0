"""What the storm did that nobody can read from the ledger or the Hub afterwards."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Frozen:
    """A process that stood still from `since` to `until` (seconds since the epoch)."""

    pid: int
    since: float
    until: float


@dataclass(frozen=True, slots=True)
class ByHand:
    """A tag that a person moved, between `since` and `until`."""

    repo: str
    tag: str
    revision: str
    since: float
    until: float


@dataclass(slots=True)
class Diary:
    """`scores` by revision, of every push. `done` counts the acts by name, `kills` the processes
    that were killed, `unasked` the parts that ended by themselves (name and exit status)."""

    scores: dict[str, float] = field(default_factory=dict)
    frozen: list[Frozen] = field(default_factory=list)
    by_hand: list[ByHand] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)
    unasked: list[tuple[str, int]] = field(default_factory=list)

    @property
    def kills(self) -> int:
        """How many processes were killed -9."""
        return sum(n for what, n in self.done.items() if what.startswith("kill "))
