"""The outbox: a notice is written in the transaction of the fact that it tells."""

from __future__ import annotations

from collections.abc import Sequence

from proctor.core.notice import Notice
from proctor.core.record import OutboxNotice
from proctor.core.run import Step, StepKind
from proctor.ports.clock import Clock
from proctor.ports.ledger import Transaction

DEFAULT_CHANNEL = "log"
"""The channel of pipelines that name none: the worker's log."""


def tell(
    tx: Transaction, clock: Clock, notice: Notice, channels: Sequence[str]
) -> tuple[Step, ...]:
    """Write the notice for each channel; returns the steps that send it. Notices to one channel
    are sent one at a time: a peer that hangs holds up one thread, not all."""
    now = clock.now()
    rows = [
        OutboxNotice(id=clock.new_id(), channel=channel, notice=notice, created_at=now)
        for channel in channels or (DEFAULT_CHANNEL,)
    ]
    steps = [
        Step(
            id=clock.new_id(),
            kind=StepKind.ANNOUNCE,
            subject=row.id,
            queue="io",
            due_at=now,
            lock=f"announce:{row.channel}",
        )
        for row in rows
    ]
    tx.add_all(rows)
    return tuple(tx.add_steps(steps))
