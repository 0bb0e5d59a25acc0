"""A promotion's journal: what is meant, what the Hub shows to be done, and what was not sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from proctor.core.event import Disposition
from proctor.core.names import Revision, tag_ref
from proctor.core.promotion import (
    Create,
    Delete,
    Operation,
    OperationKind,
    Promotion,
    PromotionStatus,
)
from proctor.flow.runs import plan_step
from proctor.ports.clock import Clock
from proctor.ports.ledger import Claim, Ledger


def note_meant(
    ledger: Ledger,
    clock: Clock,
    claim: Claim,
    promotion: Promotion,
    move: Create | Delete,
    journal: Sequence[Operation],
) -> Operation | None:
    """Record a move before it is made. One that is on record and never took effect is the same
    intent: it is not recorded twice, and None is returned. Raises StaleClaim."""
    kind = OperationKind.CREATE if isinstance(move, Create) else OperationKind.DELETE
    meant = Operation(
        id=clock.new_id(),
        promotion_id=promotion.id,
        hub_id=promotion.hub_id,
        kind=kind,
        tag=move.tag,
        revision=move.revision,
        recorded_at=clock.now(),
    )
    last = journal[-1] if journal else None
    same = last is not None and (last.kind, last.tag, last.revision) == (
        kind,
        move.tag,
        move.revision,
    )
    with ledger.transaction() as tx:
        tx.fence(claim)
        if promotion.status is PromotionStatus.PLANNED:
            tx.save(replace(promotion, status=PromotionStatus.MOVING))
        if not same:
            tx.add(meant)
    return None if same else meant


def withdraw(ledger: Ledger, clock: Clock, claim: Claim, meant: Operation) -> None:
    """Take an operation off the record that this very try recorded, and that was not made: what
    happens to the tag from here on is not our doing. Raises StaleClaim.

    A look may have taken a person's webhook for its echo meanwhile: that event is looked at
    again. A promotion of which nothing else was begun is as it was before."""
    with ledger.transaction() as tx:
        tx.known_repo(meant.hub_id)  # as a look does, which matches echoes
        tx.fence(claim)
        journal = {o.id: o for o in tx.operations(meant.promotion_id)}
        echo = journal.pop(meant.id, meant).event_id
        tx.drop_operation(meant.id)
        promotion = tx.promotion(meant.promotion_id)
        if promotion and promotion.status is PromotionStatus.MOVING and not journal:
            tx.save(replace(promotion, status=PromotionStatus.PLANNED))
        event = tx.event(echo) if echo else None
        if event is not None and event.disposition is Disposition.ECHO:
            tx.save(replace(event, disposition=Disposition.PENDING, reason=""))
            tx.add_step(plan_step(clock, meant.hub_id))


def note_seen(
    ledger: Ledger,
    clock: Clock,
    claim: Claim,
    promotion: Promotion,
    observed: Mapping[str, Revision],
    journal: Sequence[Operation],
) -> None:
    """Mark the operations that the observed refs show to be done. A promotion that never reaches
    its end leaves a record of what it did and what it only meant to do. Raises StaleClaim."""
    shown = {o.id for o in journal if o.observed_at is None and _shows(observed, o)}
    if not shown:
        return
    with ledger.transaction() as tx:
        tx.known_repo(promotion.hub_id)  # as a look does, which matches echoes
        tx.fence(claim)
        seen = [o for o in tx.operations(promotion.id) if o.id in shown]
        tx.save_all([replace(operation, observed_at=clock.now()) for operation in seen])


def _shows(observed: Mapping[str, Revision], operation: Operation) -> bool:
    found = observed.get(tag_ref(operation.tag))
    return found == (operation.revision if operation.kind is OperationKind.CREATE else None)
