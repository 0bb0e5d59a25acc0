"""What the bench found, and how hard it tried."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final


@dataclass(frozen=True)
class Effort:
    """How long to measure: seconds of a burst, and how many rounds."""

    rounds: int
    seconds: float
    open_seconds: float
    tasks: int


EFFORTS: Final = {"quick": Effort(3, 2.0, 4.0, 20), "normal": Effort(7, 4.0, 10.0, 60)}


@dataclass
class Book:
    """What was found, in the order in which it was found."""

    facts: dict[str, Any] = field(default_factory=dict)
    rows: list[tuple[str, str, str]] = field(default_factory=list)

    def add(self, name: str, value: str, goal: str = "") -> None:
        """A line of the table, shown at once."""
        self.rows.append((name, value, goal))
        say(f"  {name:<58} {value:<34} {goal}")


def say(line: str) -> None:
    """For whoever watches."""
    print(line, flush=True)  # noqa: T201 - what the command is for


def at(seconds: Sequence[float], part: float) -> float:
    """A percentile of sorted seconds, in milliseconds."""
    return seconds[min(len(seconds) - 1, int(len(seconds) * part))] * 1000
