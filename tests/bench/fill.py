"""A ledger with many events on record."""

from __future__ import annotations

import json
from pathlib import Path

from proctor.clock import SystemClock
from proctor.flow.accept import Arrival, accept_all
from proctor.ledger import open_ledger

_BATCH = 2000
_REPOS = 1000

PUSH = json.loads(
    (
        Path(__file__).parents[2] / "fixtures" / "webhooks" / "repo.content-push" / "body.json"
    ).read_text()
)


def fill(url: str, events: int) -> None:
    """Put `events` deliveries, each of another event, on record at `url`."""
    clock = SystemClock()
    ledger = open_ledger(url, clock)
    bodies = [
        json.dumps({**PUSH, "repo": {**PUSH["repo"], "id": f"{n:024x}"}}).encode()
        for n in range(_REPOS)
    ]
    headers = (("content-type", "application/json"), ("user-agent", "bench"))
    try:
        for start in range(0, events, _BATCH):
            numbers = range(start, min(events, start + _BATCH))
            accept_all(
                ledger,
                clock,
                [Arrival(f"filled-{n}", headers, bodies[n % _REPOS], clock.now()) for n in numbers],
            )
    finally:
        ledger.close()
