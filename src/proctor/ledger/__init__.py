"""The ledger on a SQL database. `open_ledger` is the door; the tables are private.

`proctor.ledger.direct` is the receiver's own way in. It has to be small: that is why SQLAlchemy and
the tables are only imported when someone asks for what needs them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from proctor.ledger.door import open_ledger
    from proctor.ledger.ledger import SqlLedger

__all__ = ["SqlLedger", "open_ledger"]


def __getattr__(name: str) -> Any:
    """https://peps.python.org/pep-0562/"""
    if name == "open_ledger":
        from proctor.ledger.door import open_ledger

        return open_ledger
    if name == "SqlLedger":
        from proctor.ledger.ledger import SqlLedger

        return SqlLedger
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
