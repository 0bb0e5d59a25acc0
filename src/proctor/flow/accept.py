"""Accept: put what arrived on record, in one transaction, before anyone is told that we have it.

The first step of the walk. It decides nothing about models: an event only marks its repo as worth
a look. So a duplicate asks for a look too (the Hub's Replay button works, and a wrong merge costs
nothing), and an authentic body that we cannot read is kept for a person.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from proctor.core.event import Delivery, Disposition, Event, Payload
from proctor.core.identity import identify
from proctor.core.payload import parse
from proctor.core.run import Step
from proctor.core.strict_json import Unreadable
from proctor.flow.runs import plan_step
from proctor.ports.clock import Clock
from proctor.ports.ledger import Ledger, Transaction


@dataclass(frozen=True, slots=True)
class Arrival:
    """An authentic POST as it came in. `headers` are redacted already; `webhook_id` is the header
    Webhook-Id; `received_at` in seconds since the epoch."""

    webhook_id: str | None
    headers: tuple[tuple[str, str], ...]
    body: bytes
    received_at: float


@dataclass(frozen=True, slots=True)
class Accepted:
    """What is on record now. `disposition` is PENDING (a new event), DUPLICATE or QUARANTINED (no
    event then); `step` is the look to wake a worker for, once the transaction is committed."""

    delivery_id: str
    event_id: str | None
    disposition: Disposition
    step: Step | None


@dataclass(frozen=True, slots=True)
class _Reading:
    """An arrival, and what could be made of it: a payload, or the reason why not."""

    arrival: Arrival
    delivery_id: str
    payload: Payload | None
    reason: str


def accept(ledger: Ledger, clock: Clock, arrival: Arrival) -> Accepted:
    """Record one arrival. Raises LedgerUnavailable; nothing is on record then."""
    return accept_all(ledger, clock, [arrival])[0]


def accept_all(ledger: Ledger, clock: Clock, arrivals: Sequence[Arrival]) -> Sequence[Accepted]:
    """Record all arrivals in one transaction: all, or none. Answers in their order.

    Raises LedgerUnavailable; nothing is on record then.
    """
    readings = [_read(clock, arrival) for arrival in arrivals]
    # One look serves all events of a repo that come together. Asked for first, and in one order:
    # two receivers that record the same repos at once then wait for one another, and never each
    # for the other.
    repos = sorted({r.payload.repo_id for r in readings if r.payload})
    with ledger.transaction() as tx:
        looks = {hub_id: tx.add_step(plan_step(clock, hub_id)) for hub_id in repos}
        return [_record(tx, clock, reading, looks) for reading in readings]


def quarantine(ledger: Ledger, clock: Clock, arrival: Arrival, reason: str) -> Accepted:
    """Record only the raw bytes of an arrival: the way out when recording all of it fails for
    something that it holds. Raises LedgerUnavailable."""
    bare = Arrival(None, (), arrival.body, arrival.received_at)
    with ledger.transaction() as tx:
        return _record(tx, clock, _Reading(bare, clock.new_id(), None, reason), {})


def _add(tx: Transaction, event: Event) -> tuple[str | None, bool]:
    """The id of the event on record, and whether it is new."""
    if tx.add_event(event):
        return event.id, True
    known = tx.event_by_identity(event.identity)
    return known.id if known else None, False


def _read(clock: Clock, arrival: Arrival) -> _Reading:
    try:
        return _Reading(arrival, clock.new_id(), parse(arrival.body), "")
    except Unreadable as e:
        return _Reading(arrival, clock.new_id(), None, str(e))


def _record(
    tx: Transaction, clock: Clock, reading: _Reading, looks: Mapping[str, Step]
) -> Accepted:
    payload = reading.payload
    if payload is None:
        return _deliver(tx, reading, None, Disposition.QUARANTINED, reading.reason, None)
    step = looks[payload.repo_id]
    event_id, new = _add(tx, _event(clock, reading, payload))
    if new:
        return _deliver(tx, reading, event_id, Disposition.PENDING, "", step)
    reason = f"tells event {event_id} again"
    return _deliver(tx, reading, event_id, Disposition.DUPLICATE, reason, step)


def _event(clock: Clock, reading: _Reading, payload: Payload) -> Event:
    arrival = reading.arrival
    return Event(
        id=clock.new_id(),
        identity=identify(
            arrival.webhook_id,
            payload,
            received_at=arrival.received_at,
            unique=reading.delivery_id,
        ),
        source="webhook",
        received_at=arrival.received_at,
        action=payload.action,
        scope=payload.scope,
        repo_type=payload.repo_type,
        hub_id=payload.repo_id,
        # The new name works at once and for good; the old one only until someone takes it.
        repo_name=payload.moved_to or payload.repo_name,
        updates=payload.updates,
        head=payload.head,
    )


def _deliver(
    tx: Transaction,
    reading: _Reading,
    event_id: str | None,
    disposition: Disposition,
    reason: str,
    step: Step | None,
) -> Accepted:
    tx.add_delivery(
        Delivery(
            id=reading.delivery_id,
            received_at=reading.arrival.received_at,
            webhook_id=reading.arrival.webhook_id,
            headers=reading.arrival.headers,
            body=reading.arrival.body,
            disposition=disposition,
            reason=reason,
            event_id=event_id,
        )
    )
    return Accepted(reading.delivery_id, event_id, disposition, step)
