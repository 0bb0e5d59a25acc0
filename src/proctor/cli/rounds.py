"""The sweep's two rounds: overdue work often, the Hub's heads now and then."""

from __future__ import annotations

import logging
import threading

from proctor.core.errors import LedgerUnavailable
from proctor.core.evidence import Json
from proctor.flow.reconcile import Drift
from proctor.flow.sweep import Swept
from proctor.wiring import Wiring

log = logging.getLogger(__name__)


def once(wiring: Wiring) -> dict[str, Json]:
    """One of each round, and what it found."""
    drift = wiring.reconcile.once()
    swept = wiring.sweep.once()
    alarms = wiring.alarm.once()
    return {
        "reclaimed": swept.reclaimed,
        "woken": swept.woken,
        "orphans": swept.orphans,
        "alarms": alarms,
        "drift": {
            "heads": drift.heads,
            "missed": list(drift.missed),
            "looks": drift.looks,
            "trouble": [wiring.redact(text) for text in drift.trouble],
        },
    }


def until(wiring: Wiring, stop: threading.Event) -> None:
    """Both rounds until `stop`. The Hub has a thread of its own: one that hangs must not keep
    overdue work waiting."""
    hub = threading.Thread(target=_compare, args=(wiring, stop), name="reconcile", daemon=True)
    hub.start()
    alive = wiring.settings.home / "alive" / "sweep"
    alive.parent.mkdir(parents=True, exist_ok=True)
    while True:
        try:
            _tell_swept(wiring.sweep.once())
            _tell_alarms(wiring.alarm.once())
            alive.touch()
        except LedgerUnavailable as error:
            log.warning("the database cannot serve now: %s", error)
        if stop.wait(wiring.settings.sweep_interval):
            return


def _compare(wiring: Wiring, stop: threading.Event) -> None:
    wait = 0.0
    while not stop.wait(wait):
        wait = wiring.settings.reconcile_interval
        try:
            drift = wiring.reconcile.once()
        except LedgerUnavailable as error:
            log.warning("the database cannot serve now: %s", error)
        except Exception as error:  # this thread is the only one that finds lost pushes
            log.error("comparing heads failed: %s: %s", type(error).__name__, error)
        else:
            _tell_drift(drift)
            wait = max(wait, drift.wait)


def _tell_swept(swept: Swept) -> None:
    if swept.reclaimed or swept.orphans:
        log.info("took back %d steps, found %d lost looks", swept.reclaimed, swept.orphans)


def _tell_alarms(alarms: int) -> None:
    if alarms:
        log.warning("no webhook came for %d of our own tag moves", alarms)


def _tell_drift(drift: Drift) -> None:
    for text in drift.trouble:
        log.warning("%s", text)
    if drift.missed:
        log.info("no webhook told of: %s", ", ".join(drift.missed))
