"""The ledger on a SQL database. `open_ledger` is the door; the tables are private."""

from proctor.ledger.ledger import SqlLedger
from proctor.ports.clock import Clock


def open_ledger(url: str, clock: Clock) -> SqlLedger:
    """The ledger at `url` (see `SqlLedger`), its schema brought up to date.

    Safe when several processes start at once. Raises LedgerUnavailable when the database cannot
    serve or is newer than this code, ValueError when the URL names no database of ours.
    """
    # Here, not above: workers and receivers that never migrate need no Alembic in memory.
    from proctor.ledger.migrate import upgrade

    ledger = SqlLedger(url, clock)
    upgrade(ledger.url)
    return ledger


__all__ = ["SqlLedger", "open_ledger"]
