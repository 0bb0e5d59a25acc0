"""Accept: put what arrived on record, in one transaction, before anyone is told that we have it.

The first step of the walk. It decides nothing about models: an event only marks its repo as worth
a look. So a duplicate asks for a look too (the Hub's Replay button works, and a wrong merge costs
nothing), and an authentic body that we cannot read is kept for a person.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from proctor.core.event import Delivery, Disposition, Event, Payload
from proctor.core.identity import identify
from proctor.core.payload import parse
from proctor.core.run import Step, StepKind
from proctor.core.strict_json import Unreadable
from proctor.ports.clock import Clock
from proctor.ports.ledger import Ledger, Transaction

QUEUE: Final = "io"
"""Looking at a repo is light work."""


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
    # By repo, and each repo's look is locked first: two receivers that record the same repos in
    # one transaction each then wait for one another in one direction only.
    order = sorted(range(len(readings)), key=lambda at: _hub_id(readings[at]))
    with ledger.transaction() as tx:
        accepted = {at: _record(tx, clock, readings[at]) for at in order}
    return [accepted[at] for at in range(len(readings))]


def quarantine(ledger: Ledger, clock: Clock, arrival: Arrival, reason: str) -> Accepted:
    """Record only the raw bytes of an arrival: the way out when recording all of it fails for
    something that it holds. Raises LedgerUnavailable."""
    bare = Arrival(None, (), arrival.body, arrival.received_at)
    with ledger.transaction() as tx:
        return _record(tx, clock, _Reading(bare, clock.new_id(), None, reason))


def ask_for_look(tx: Transaction, clock: Clock, hub_id: str) -> Step:
    """Ask for a look at the repo, now. Returns the step that stands: one look serves all who ask
    before it starts."""
    return tx.add_step(
        Step(
            id=clock.new_id(),
            kind=StepKind.PLAN,
            subject=hub_id,
            queue=QUEUE,
            due_at=clock.now(),
            lock=f"plan:{hub_id}",
        )
    )


def note(tx: Transaction, clock: Clock, event: Event) -> tuple[str | None, bool, Step]:
    """Record an event, whoever tells it (webhook, sweep or person), and ask for a look.

    Returns the id of the event on record, whether it is new, and the step to wake after the
    commit.
    """
    step = ask_for_look(tx, clock, event.hub_id)
    if tx.add_event(event):
        return event.id, True, step
    known = tx.event_by_identity(event.identity)
    return known.id if known else None, False, step


def _read(clock: Clock, arrival: Arrival) -> _Reading:
    try:
        return _Reading(arrival, clock.new_id(), parse(arrival.body), "")
    except Unreadable as e:
        return _Reading(arrival, clock.new_id(), None, str(e))


def _hub_id(reading: _Reading) -> str:
    return reading.payload.repo_id if reading.payload else ""


def _record(tx: Transaction, clock: Clock, reading: _Reading) -> Accepted:
    if reading.payload is None:
        return _deliver(tx, reading, None, Disposition.QUARANTINED, reading.reason, None)
    event_id, new, step = note(tx, clock, _event(clock, reading, reading.payload))
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
