"""What the Hub shows of a promotion's journal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from proctor.core.names import Revision, tag_ref
from proctor.core.promotion import Operation, OperationKind, Promotion
from proctor.ports.clock import Clock
from proctor.ports.ledger import Claim, Ledger


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
        tx.fence(claim)
        # A look writes into the same rows when it matches an echo, and locks the repo first.
        tx.known_repo(promotion.hub_id)
        for operation in tx.operations(promotion.id):
            if operation.id in shown:
                tx.save(replace(operation, observed_at=clock.now()))


def _shows(observed: Mapping[str, Revision], operation: Operation) -> bool:
    found = observed.get(tag_ref(operation.tag))
    return found == (operation.revision if operation.kind is OperationKind.CREATE else None)
