"""The oracle's view of `proctor up`: what died below it is back, and a second one does no harm."""

from __future__ import annotations

from collections import Counter

from tests.chaos.oracle import Remains, Report

LONGEST = 30.0
"""Seconds that a part which keeps dying has to wait at the most: 1, 2, 4 and so on before."""

BUSY = 30.0
"""Seconds on top, for a part to begin on a busy machine, and for deaths that nobody saw because the
next life was as short: `up` counts those too, and waits longer."""


def examine(report: Report, remains: Remains) -> None:
    """All of it."""
    parts_come_back(report, remains)
    up_says_why_it_ends(report, remains)


def parts_come_back(report: Report, remains: Remains) -> None:
    """P1: a part that died below an `up` that went on was started again in time."""
    deaths: Counter[tuple[int, str]] = Counter()
    for vacancy in sorted(remains.diary.vacancies, key=lambda v: v.since):
        # Which of the evals it was cannot be told: their deaths count together.
        whose = (vacancy.up, vacancy.name.partition("-")[0])
        allowed = min(LONGEST, 2.0 ** deaths[whose]) + BUSY
        deaths[whose] += 1
        report.seen["parts started again by up"] += vacancy.filled
        report.expect(
            "P1",
            vacancy.until - vacancy.since <= allowed,
            f"{vacancy}: not back within {allowed:.0f} s",
        )


def up_says_why_it_ends(report: Report, remains: Remains) -> None:
    """P1: an `up` ends by itself only at its start, and says in one line what is in the way."""
    for ended in remains.diary.ended:
        report.seen["second up refused" if ended.second else "up refused"] += 1
        said = ended.said.splitlines()
        report.expect(
            "P1",
            ended.status == 1 and bool(said) and said[-1].startswith("proctor: "),
            f"up ended with {ended.status}: {ended.said[-500:]}",
        )
