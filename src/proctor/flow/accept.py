"""Accept: put what arrived on record, in one transaction, before anyone is told that we have it.

The first step of the walk. It decides nothing about models: an event only marks its repo as worth
a look. So a duplicate asks for a look too (the Hub's Replay button works, and a wrong merge costs
nothing), and an authentic body that we cannot read is kept for a person.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from proctor.core.event import Delivery, Disposition, Event, Payload
from proctor.core.identity import identify
from proctor.core.payload import parse
from proctor.core.run import Step, StepState
from proctor.core.strict_json import Unreadable
from proctor.flow.runs import plan_step
from proctor.ports.clock import Clock
from proctor.ports.intake import Intake

Waits: TypeAlias = Callable[[str, int], Sequence[float]]
"""Counts deliveries of a source (the id of a webhook subscription), and tells of each for how many
seconds the work that it asks for has to wait: 0 while the source keeps to its limit."""


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
    event then); `step` is the look to wake a worker for, None when there is none or not yet."""

    delivery_id: str
    event_id: str | None
    disposition: Disposition
    step: Step | None


@dataclass(frozen=True, slots=True)
class _Reading:
    """An arrival, and what could be made of it: its payload and the event that it tells, or the
    reason why not. `wait` in seconds: how long the look that it asks for is put off."""

    arrival: Arrival
    delivery_id: str
    payload: Payload | None = None
    event: Event | None = None
    reason: str = ""
    wait: float = 0.0


def at_once(source: str, count: int) -> Sequence[float]:
    """No limit: what any source asks for may begin now."""
    return (0.0,) * count


def accept(intake: Intake, clock: Clock, arrival: Arrival) -> Accepted:
    """Record one arrival. Raises LedgerUnavailable; nothing is on record then."""
    return accept_all(intake, clock, [arrival])[0]


def accept_all(
    intake: Intake, clock: Clock, arrivals: Sequence[Arrival], waits: Waits = at_once
) -> Sequence[Accepted]:
    """Record all arrivals in one transaction: all, or none. Answers in their order.

    What comes from a source that sends too much is recorded like any other; only its look waits.
    Raises LedgerUnavailable; nothing is on record then.
    """
    readings = _slowed([_read(clock, arrival) for arrival in arrivals], waits)
    with intake.transaction() as tx:
        looks = _looks(clock, readings)  # the time is right once the database was asked
        # Steps first: two receivers that record the same events at once wait for one another here.
        stand = dict(zip(looks, tx.add_steps(list(looks.values())), strict=True))
        known = tx.add_events([r.event for r in readings if r.event is not None])
        tx.add_deliveries(deliveries := [_delivery(reading, known) for reading in readings])
    now = clock.now()
    return [
        _accepted(delivery, stand.get(r.payload.repo_id) if r.payload else None, now)
        for delivery, r in zip(deliveries, readings, strict=True)
    ]


def quarantine(intake: Intake, clock: Clock, arrival: Arrival, reason: str) -> Accepted:
    """Record only the raw bytes of an arrival: the way out when recording all of it fails for
    something that it holds. Raises LedgerUnavailable."""
    bare = Arrival(None, (), arrival.body, arrival.received_at)
    delivery = _delivery(_Reading(bare, clock.new_id(), reason=reason), {})
    with intake.transaction() as tx:
        tx.add_deliveries([delivery])
    return _accepted(delivery, None, clock.now())


def _read(clock: Clock, arrival: Arrival) -> _Reading:
    delivery_id = clock.new_id()
    try:
        payload = parse(arrival.body, fingerprint=arrival.webhook_id is None)
    except Unreadable as e:
        return _Reading(arrival, delivery_id, reason=str(e))
    return _Reading(arrival, delivery_id, payload, _event(clock, arrival, payload, delivery_id))


def _slowed(readings: Sequence[_Reading], waits: Waits) -> Sequence[_Reading]:
    """The readings, each with its wait."""
    counts = Counter(r.payload.subscription for r in readings if r.payload is not None)
    told = {source: waits(source, count) for source, count in counts.items()}
    if not any(map(any, told.values())):
        return readings
    turns = {source: iter(seconds) for source, seconds in told.items()}
    return [
        replace(r, wait=next(turns[r.payload.subscription])) if r.payload is not None else r
        for r in readings
    ]


def _looks(clock: Clock, readings: Sequence[_Reading]) -> Mapping[str, Step]:
    """One look for each repo, by hub_id: it serves all events that come together, and begins when
    the first of them may."""
    waits: dict[str, float] = {}
    for reading in readings:
        if reading.payload is not None:
            hub_id = reading.payload.repo_id
            waits[hub_id] = min(reading.wait, waits.get(hub_id, reading.wait))
    looks = {hub_id: plan_step(clock, hub_id) for hub_id in waits}
    return {
        hub_id: replace(look, due_at=look.due_at + waits[hub_id]) if waits[hub_id] else look
        for hub_id, look in looks.items()
    }


def _event(clock: Clock, arrival: Arrival, payload: Payload, delivery_id: str) -> Event:
    return Event(
        id=clock.new_id(),
        identity=identify(
            arrival.webhook_id, payload, received_at=arrival.received_at, unique=delivery_id
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


def _delivery(reading: _Reading, known: Mapping[str, str]) -> Delivery:
    """`known` holds the ids of the events on record, by identity."""
    event_id = known[reading.event.identity] if reading.event else None
    if reading.event is None:
        disposition, reason = Disposition.QUARANTINED, reading.reason
    elif event_id != reading.event.id:
        disposition, reason = Disposition.DUPLICATE, f"tells event {event_id} again"
    else:
        disposition, reason = Disposition.PENDING, ""
    if reading.wait:
        put_off = f"its look waits {reading.wait:.0f} s: its webhook sends more than the limit"
        reason = f"{reason}; {put_off}" if reason else put_off
    return Delivery(
        id=reading.delivery_id,
        received_at=reading.arrival.received_at,
        webhook_id=reading.arrival.webhook_id,
        headers=reading.arrival.headers,
        body=reading.arrival.body,
        disposition=disposition,
        reason=reason,
        event_id=event_id,
    )


def _accepted(delivery: Delivery, step: Step | None, now: float) -> Accepted:
    due = step is not None and (step.state is not StepState.READY or step.due_at <= now)
    return Accepted(delivery.id, delivery.event_id, delivery.disposition, step if due else None)
