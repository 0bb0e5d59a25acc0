"""The migration that a database is at."""

from __future__ import annotations

from sqlalchemy import Connection, inspect

from proctor.ledger.schema import ASK


def version(connection: Connection) -> str | None:
    """The migration that the database is at; None for an empty one."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.exec_driver_sql(ASK).scalar()
    return found
