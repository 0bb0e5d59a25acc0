"""The sweep's rounds: overdue work often, the Hub's heads now and then, old things rarely."""

from __future__ import annotations

import logging
import threading
from contextlib import suppress
from typing import Any, Final

from proctor.core.errors import LedgerUnavailable
from proctor.flow.reconcile import Drift
from proctor.flow.retention import Gone
from proctor.flow.sweep import Swept
from proctor.wiring import Wiring

log = logging.getLogger(__name__)

FORGET_EVERY: Final = 3600.0
"""Seconds between two looks for what is too old to be kept."""


def once(wiring: Wiring) -> dict[str, Any]:
    """One of each round, and what it found, as JSON."""
    drift = wiring.reconcile.once()
    swept = wiring.sweep.once()
    alarms = wiring.alarm.once()
    gone = wiring.retention.once() if wiring.retention else Gone(0, 0)
    wiring.shelf.tidy()
    return {
        "reclaimed": swept.reclaimed,
        "woken": swept.woken,
        "orphans": swept.orphans,
        "alarms": alarms,
        "forgotten": {"bodies": gone.bodies, "runs": gone.runs},
        "drift": {
            "hub": wiring.settings.hub_endpoint,
            "reached": drift.reached,
            "heads": drift.heads,
            "missed": list(drift.missed),
            "looks": drift.looks,
            "trouble": [wiring.redact(text) for text in drift.trouble],
        },
    }


def until(wiring: Wiring, stop: threading.Event) -> None:
    """All rounds until `stop`. The Hub and the disk have threads of their own: one that hangs
    must not keep overdue work waiting."""
    for each in (_compare, _forget):
        name = each.__name__.strip("_")
        threading.Thread(target=each, args=(wiring, stop), name=name, daemon=True).start()
    alive = wiring.settings.home / "alive" / "sweep"
    alive.parent.mkdir(parents=True, exist_ok=True)
    while not stop.is_set():
        try:
            _tell_swept(wiring.sweep.once())
            _tell_alarms(wiring.alarm.once())
            alive.touch()
        except LedgerUnavailable as error:
            log.warning("the database cannot serve now: %s", error)
        stop.wait(wiring.settings.sweep_interval)
    with suppress(OSError):
        alive.unlink(missing_ok=True)


def _compare(wiring: Wiring, stop: threading.Event) -> None:
    wait, begin_at = 0.0, None
    while not stop.wait(wait):
        wait = wiring.settings.reconcile_interval
        try:
            drift = wiring.reconcile.once(begin_at)
        except LedgerUnavailable as error:
            log.warning("the database cannot serve now: %s", error)
        except Exception as error:  # this thread is the only one that finds lost pushes
            log.error("comparing heads failed: %s: %s", type(error).__name__, error)
        else:
            _tell_drift(drift, wiring.settings.hub_endpoint)
            wait, begin_at = max(wait, drift.wait), drift.begin_at


def _forget(wiring: Wiring, stop: threading.Event) -> None:
    while True:
        try:
            snapshots = wiring.shelf.tidy()
            gone = wiring.retention.once(stop.is_set) if wiring.retention else Gone(0, 0)
        except (LedgerUnavailable, OSError) as error:
            log.warning("what is old cannot be removed now: %s", error)
        except Exception as error:  # this thread is the only one that makes room
            log.error("removing what is old failed: %s: %s", type(error).__name__, error)
        else:
            if gone.bodies or gone.runs:
                log.info("removed %d old bodies, files of %d runs", gone.bodies, gone.runs)
            if snapshots:
                log.info("removed %d snapshots that nobody used", snapshots)
        if stop.wait(FORGET_EVERY):
            return


def _tell_swept(swept: Swept) -> None:
    if swept.reclaimed or swept.orphans:
        log.info("took back %d steps, found %d lost looks", swept.reclaimed, swept.orphans)


def _tell_alarms(alarms: int) -> None:
    if alarms:
        log.warning("no webhook came for %d of our own tag moves", alarms)


def _tell_drift(drift: Drift, endpoint: str) -> None:
    if not drift.reached:
        log.warning("the Hub at %s was not reached; it is tried again", endpoint)
    for text in drift.trouble:
        log.warning("%s", text)
    if drift.missed:
        log.info("no webhook told of: %s", ", ".join(drift.missed))
