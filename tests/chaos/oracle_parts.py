"""The oracle's view of parts that were asked to stop: what they did is done or given back."""

from __future__ import annotations

import signal
from collections.abc import Sequence

from tests.chaos.diary import Diary, Stopped
from tests.chaos.oracle import Facts, Remains, Report
from tests.chaos.oracle_work import Sitting, sittings

LEASE = 5.0
GRACE = 90.0
"""Seconds for a part to end: 25, what it takes a busy machine, and what it takes us to see it."""

ABANDONED = 75


def unfinished_is_given_back(report: Report, remains: Remains, facts: Facts) -> None:
    """P1: a part that is asked to stop, or whose `up` was killed, ends in time, and nobody has to
    wait for the end of its leases."""
    sat = sittings(remains.journal)
    for stopped in remains.diary.stopped:
        report.seen["parts orphaned" if stopped.orphaned else "parts stopped"] += 1
        if _disturbed(remains.diary, stopped):
            report.seen["parts stopped, and disturbed in it"] += 1
            continue
        took = stopped.until - stopped.since
        report.expect("P1", took <= GRACE, f"{stopped} took {took:.0f} s to stop")
        report.expect(
            "P1",
            # The signal itself: it had hardly begun. None: its `up` answers for it.
            stopped.status in (0, -signal.SIGTERM, None),
            f"{stopped} did not end well",
        )
        _nothing_waited(report, facts, stopped)
        _nothing_outlived(report, sat, stopped)


def _disturbed(diary: Diary, stopped: Stopped) -> bool:
    """Whether it was killed meanwhile, or stood still or had no database, now or so shortly before
    that a lease may have ended of it."""
    since, until = stopped.since - LEASE - 1, stopped.until + 1
    dark = any(began <= until and ended >= since for began, ended in diary.dark)
    still = any(diary.stood_still(pid, since, until) for pid in (stopped.pid, *stopped.below))
    return stopped.killed or dark or still


def _nothing_waited(report: Report, facts: Facts, stopped: Stopped) -> None:
    for what, attempts in facts.attempts:
        for attempt in attempts:
            if attempt.worker.rpartition("/")[2] != str(stopped.pid):
                continue
            if attempt.ended_at is None or not (
                stopped.since <= attempt.ended_at <= stopped.until + LEASE + 2
            ):
                continue
            report.seen["work under way at a stop"] += 1
            report.expect(
                "P1",
                attempt.outcome != "lease expired",
                f"{what} waited for the lease of {stopped}: {attempt}",
            )


def _nothing_outlived(report: Report, sat: Sequence[Sitting], stopped: Stopped) -> None:
    for sitting in sat:
        if sitting.worker == stopped.pid and sitting.begun <= stopped.until:
            report.expect(
                "P8", sitting.until <= stopped.until + 0.5, f"{sitting} outlived {stopped}"
            )
