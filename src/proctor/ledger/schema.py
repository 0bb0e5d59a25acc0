"""Which schema this code speaks. Apart from `migrate`, so that asking costs no Alembic."""

from __future__ import annotations

from sqlalchemy import Connection, text
from sqlalchemy import inspect as look

HEAD = "0003"
"""The newest migration in `migrations/versions` (a test compares)."""


def version(connection: Connection) -> str | None:
    """The migration that the database is at; None for an empty one."""
    if not look(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
