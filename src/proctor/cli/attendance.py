"""Whether workers seem to run, for people who wait for them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from proctor.flow.attendance import Failing, at_work, unattended
from proctor.wiring import Wiring

ALIVE: Final = 60.0
"""Seconds: a worker that touched its file below `alive` within them still runs here."""

START: Final = "Start one: `proctor up`, or `proctor worker`."


def missing(wiring: Wiring) -> str:
    """What to say when work waits and nobody seems to take it, with the remedy; else "".

    With the embedded broker the workers are on this machine, and leave a mark: then it is told at
    once. Otherwise only the wait tells. Raises LedgerUnavailable.
    """
    now = wiring.clock.now()
    with wiring.ledger.view() as view:
        steps = view.open_steps()
    here = served_here(wiring.settings.home, now)
    if late := unattended(steps, now):
        waits = (
            f"the oldest step of queue {' and '.join(late)} waits for {told(max(late.values()))}"
        )
        if set(late) <= here:
            return (
                f"A worker runs here but takes nothing: {waits}. Look at its log, and whether it "
                "has the same PROCTOR_BROKER_URL and PROCTOR_DATABASE_URL."
            )
        return f"No worker seems to run: {waits}. {START}"
    if embedded(wiring) and (set(unattended(steps, now, 0.0, 0.0)) - here):
        return f"No worker seems to run on this machine, and work waits. {START}"
    return ""


def channel_told(failing: Failing, now: float) -> str:
    """A channel that takes no notices, in words."""
    waiting = "1 notice waits" if failing.waiting == 1 else f"{failing.waiting} notices wait"
    return (
        f"channel {failing.channel} fails for {told(max(now - failing.since, 0.0))}: "
        f"{failing.error}; {waiting}, and will be tried again"
    )


def presence(wiring: Wiring) -> str:
    """Which workers are known to be there. Raises LedgerUnavailable."""
    now = wiring.clock.now()
    here = served_here(wiring.settings.home, now)
    if here:
        return f"alive on this machine, for {' and '.join(sorted(here))}"
    with wiring.ledger.view() as view:
        busy = at_work(view.open_steps(), now)
    names = sorted({name for workers in busy.values() for name in workers})
    return f"at work: {', '.join(names)}" if names else "none seen here, and no work waits"


def served_here(home: Path, now: float) -> frozenset[str]:
    """The queues of the workers that run on this machine, by the files that they touch."""
    found: set[str] = set()
    for mark in (home / "alive").glob("worker-*"):
        try:
            fresh = now - mark.stat().st_mtime < ALIVE
        except OSError:
            continue
        if fresh:
            found |= set(mark.name.removeprefix("worker-").split("-"))
    return frozenset(found)


def embedded(wiring: Wiring) -> bool:
    """Whether the broker is a folder."""
    return wiring.settings.broker_url.reveal().startswith("filesystem:")


def told(seconds: float) -> str:
    """A wait in words."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h"
