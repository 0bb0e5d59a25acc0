"""Opening the ledger."""

from __future__ import annotations

from proctor.core.errors import LedgerUnavailable
from proctor.ledger.ledger import SqlLedger
from proctor.ledger.time import Correct
from proctor.ports.clock import Clock


def open_ledger(url: str, clock: Clock, correct: Correct | None = None) -> SqlLedger:
    """The ledger at `url` (see `SqlLedger`, also for `correct`), its schema brought up to date.

    Safe when several processes start at once. Raises LedgerUnavailable when the database cannot
    serve or is newer than this code, ValueError when the URL names no database of ours.
    """
    ledger = SqlLedger(url, clock, correct)
    try:
        ledger.ping()
    except LedgerUnavailable:
        # Only now: who finds the schema current needs neither Alembic nor the right to write.
        from proctor.ledger.migrate import upgrade

        ledger.close()
        upgrade(ledger.url)
    return ledger
