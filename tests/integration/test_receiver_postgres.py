"""Two receivers on one PostgreSQL: batches that hold the same repos and events do not collide."""

from __future__ import annotations

import json
import threading
from collections import Counter
from pathlib import Path

from tests.patience import patient

from proctor.clock import SystemClock
from proctor.core.event import Disposition
from proctor.flow.accept import Accepted, Arrival, accept_all
from proctor.ledger import open_ledger

BODY = json.loads(
    (
        Path(__file__).parents[2] / "fixtures" / "webhooks" / "repo.content-push" / "body.json"
    ).read_text()
)
REPOS, EVENTS, ROUNDS = 5, 20, 5


def batch(turn: int) -> list[Arrival]:
    arrivals = []
    for n in range(EVENTS):
        body = {**BODY, "repo": {**BODY["repo"], "id": f"{n % REPOS:024x}"}}
        arrivals.append(Arrival(f"{turn}-{n}", (), json.dumps(body).encode(), 1.0))
    return arrivals


def test_the_same_events_through_two_receivers_are_told_once(postgres_url: str) -> None:
    ledger = open_ledger(patient(postgres_url), SystemClock())
    answers: list[Accepted] = []
    failed: list[Exception] = []

    def send(backwards: bool) -> None:
        try:
            for turn in range(ROUNDS):
                arrivals = batch(turn)
                answers.extend(
                    accept_all(ledger, SystemClock(), arrivals[:: -1 if backwards else 1])
                )
        except Exception as e:  # told to the test's own thread
            failed.append(e)

    try:
        threads = [threading.Thread(target=send, args=[n % 2 == 0]) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with ledger.view() as view:
            events, steps = view.events(limit=1000), view.open_steps()
    finally:
        ledger.close()
    assert failed == []
    counts = Counter(answer.disposition for answer in answers)
    assert counts == {
        Disposition.PENDING: EVENTS * ROUNDS,
        Disposition.DUPLICATE: EVENTS * ROUNDS * 3,
    }
    assert len(events) == EVENTS * ROUNDS
    assert len(steps) == REPOS
    assert {answer.event_id for answer in answers} == {event.id for event in events}
