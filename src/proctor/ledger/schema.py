"""Which schema this code speaks. Apart from `migrate`, so that asking costs no Alembic."""

from __future__ import annotations

from typing import Final

from proctor.core.errors import LedgerUnavailable
from proctor.ledger.refusals import SCHEMA_REMEDY

HEAD: Final = "0003"
"""The newest migration in `migrations/versions` (a test compares)."""

ASK: Final = "SELECT version_num FROM alembic_version"
"""The migration that a database of ours is at."""


def require(found: str | None, place: str) -> None:
    """Raises LedgerUnavailable unless the database at `place` is at HEAD; None: without tables."""
    if found != HEAD:
        state = f"at migration {found}" if found else "without our tables"
        raise LedgerUnavailable(
            f"the database at {place} is {state}, this Proctor needs {HEAD}: {SCHEMA_REMEDY}"
        )
