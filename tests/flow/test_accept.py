"""Accept: one transaction for delivery, event and look."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from proctor.core.event import Disposition
from proctor.core.run import StepKind, StepState
from proctor.flow.accept import Arrival, accept, accept_all, quarantine
from proctor.ledger import SqlLedger, open_ledger
from proctor.testing import FakeClock

SAMPLES = Path(__file__).parents[2] / "fixtures" / "webhooks"
HUB_ID = "6366c000a2abcdf2fd69a080"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def ledger(tmp_path: Path, clock: FakeClock) -> Iterator[SqlLedger]:
    ledger = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}", clock)
    yield ledger
    ledger.close()


def arrival(name: str = "repo.content-push", webhook_id: str | None = "w1", **more: Any) -> Arrival:
    body = json.loads((SAMPLES / name / "body.json").read_text())
    body["repo"].update(more)
    return Arrival(webhook_id, (("user-agent", "x"),), json.dumps(body).encode(), 1_700_000_000.0)


def test_a_new_event_asks_for_a_look(ledger: SqlLedger, clock: FakeClock) -> None:
    accepted = accept(ledger, clock, arrival())
    assert accepted.disposition is Disposition.PENDING
    assert accepted.step is not None
    assert (accepted.step.kind, accepted.step.subject) == (StepKind.PLAN, HUB_ID)
    assert (accepted.step.lock, accepted.step.queue) == (f"plan:{HUB_ID}", "io")
    with ledger.view() as view:
        assert view.step(accepted.step.id) == accepted.step
        (event,) = view.pending_events(HUB_ID)
        assert event.id == accepted.event_id
        assert event.source == "webhook"
        delivery = view.delivery(accepted.delivery_id)
    assert delivery is not None
    assert delivery.headers == (("user-agent", "x"),)


def test_a_duplicate_makes_no_event_and_still_asks_for_a_look(
    ledger: SqlLedger, clock: FakeClock
) -> None:
    first = accept(ledger, clock, arrival())
    assert first.step is not None
    claim = ledger.claim(first.step.id, "w", 60)
    assert claim is not None
    with ledger.transaction() as tx:
        tx.finish(claim)
    clock.advance(7 * 86400)  # the Hub's Replay, a week later
    again = accept(ledger, clock, arrival())
    assert again.disposition is Disposition.DUPLICATE
    assert again.event_id == first.event_id
    assert again.step is not None
    assert again.step.state is StepState.READY
    with ledger.view() as view:
        assert len(view.events()) == 1
        assert len(view.deliveries(event_id=first.event_id)) == 2
        delivery = view.delivery(again.delivery_id)
    assert delivery is not None
    assert first.event_id is not None
    assert first.event_id in delivery.reason


def test_what_cannot_be_read_is_kept_without_event_or_look(
    ledger: SqlLedger, clock: FakeClock
) -> None:
    accepted = accept(ledger, clock, Arrival("w1", (), b"\xff", 1.0))
    assert (accepted.event_id, accepted.step) == (None, None)
    assert accepted.disposition is Disposition.QUARANTINED
    with ledger.view() as view:
        delivery = view.delivery(accepted.delivery_id)
        assert view.events() == ()
        assert view.open_steps() == ()
    assert delivery is not None
    assert (delivery.body, delivery.disposition) == (b"\xff", Disposition.QUARANTINED)
    assert "not UTF-8" in delivery.reason


@pytest.mark.parametrize("name", sorted(p.name for p in SAMPLES.iterdir() if p.is_dir()))
def test_every_kind_of_event_is_recorded_and_looked_into(
    ledger: SqlLedger, clock: FakeClock, name: str
) -> None:
    accepted = accept(ledger, clock, arrival(name))
    assert accepted.disposition is Disposition.PENDING
    with ledger.view() as view:
        assert [e.id for e in view.pending_events(HUB_ID)] == [accepted.event_id]


def test_a_moved_repo_is_known_by_its_new_name(ledger: SqlLedger, clock: FakeClock) -> None:
    accept(ledger, clock, arrival("repo-move"))
    with ledger.view() as view:
        assert [e.repo_name for e in view.events()] == ["acme/chat-tiny"]


def test_a_batch_is_answered_in_its_order(ledger: SqlLedger, clock: FakeClock) -> None:
    batch = [
        arrival(webhook_id="b", id="b" * 24),
        Arrival(None, (), b"?", 1.0),
        arrival(webhook_id="a", id="a" * 24),
        arrival(webhook_id="b", id="b" * 24),
    ]
    accepted = accept_all(ledger, clock, batch)
    assert [a.disposition.value for a in accepted] == [
        "pending",
        "quarantined",
        "pending",
        "duplicate",
    ]
    assert [a.step.subject if a.step else None for a in accepted] == [
        "b" * 24,
        None,
        "a" * 24,
        "b" * 24,
    ]
    assert accepted[3].event_id == accepted[0].event_id


def test_a_batch_is_recorded_whole_or_not_at_all(ledger: SqlLedger, clock: FakeClock) -> None:
    huge = Arrival(None, (("x", object()),), b"?", 1.0)  # type: ignore[arg-type] # cannot be stored
    with pytest.raises(Exception, match="object"):
        accept_all(ledger, clock, [arrival(), huge])
    with ledger.view() as view:
        assert (view.events(), view.deliveries(), view.open_steps()) == ((), (), ())
    kept = quarantine(ledger, clock, huge, "recording it failed")
    with ledger.view() as view:
        delivery = view.delivery(kept.delivery_id)
    assert delivery is not None
    assert (delivery.body, delivery.headers, delivery.reason) == (b"?", (), "recording it failed")


def test_the_same_event_from_many_threads_is_one(ledger: SqlLedger, clock: FakeClock) -> None:
    found: list[str | None] = []

    def send() -> None:
        for _ in range(5):
            found.append(accept(ledger, clock, arrival()).event_id)

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 20
    assert len(set(found)) == 1
    with ledger.view() as view:
        assert len(view.deliveries()) == 20
        assert len(view.open_steps()) == 1
