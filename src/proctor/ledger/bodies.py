"""Emptying the bodies of old deliveries, a little at a time."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, func, select, update

from proctor.ledger.reads.intake import DELIVERIES
from proctor.ports.ledger import Forgotten

LOOKED_AT: Final = 1000
"""Deliveries looked at in one call."""

ROWS: Final = 200
"""Bodies emptied in one transaction at the most: it has to stay under 20 ms."""

BYTES: Final = 512 * 1024
"""After so many bytes, likewise."""


def find(connection: Connection, before: float, after: int) -> tuple[list[int], Forgotten]:
    """The rows to empty next, and what emptying them comes to. Reads in the order of recording,
    so that no index is needed."""
    seq = DELIVERIES.c.seq
    rows = connection.execute(
        select(seq, DELIVERIES.c.received_at, func.length(DELIVERIES.c.body))
        .where(seq > after)
        .order_by(seq)
        .limit(LOOKED_AT)
    ).all()
    wanted: list[int] = []
    upto, settled, old, size = after, None, False, 0
    for place, received_at, length in rows:
        if len(wanted) == ROWS or size >= BYTES:
            break
        if received_at >= before:
            settled = upto if settled is None else settled
        elif length:
            wanted.append(place)
            size += length
        old = old or received_at < before
        upto = place
    return wanted, Forgotten(len(wanted), upto, upto if settled is None else settled, more=old)


def empty(connection: Connection, wanted: list[int]) -> None:
    """Empty the bodies of these rows."""
    rows = DELIVERIES.c.seq.in_(wanted)
    connection.execute(update(DELIVERIES).where(rows).values(body=b""))
