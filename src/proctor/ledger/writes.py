"""How rows are written. Every refused row leaves the transaction usable, on both databases."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Insert, Table
from sqlalchemy.dialects import postgresql, sqlite

from proctor.ledger.mapping import to_row
from proctor.ledger.reads.base import of


def insert(connection: Connection, table: Table) -> postgresql.Insert | sqlite.Insert:
    """An INSERT that knows ON CONFLICT."""
    if connection.dialect.name == "postgresql":
        return postgresql.insert(table)
    return sqlite.insert(table)


def add_row(connection: Connection, value: object) -> bool:
    """Add the row of a core value unless something unique about it is there already; returns
    whether it was added."""
    statement = insert(connection, of(type(value))).on_conflict_do_nothing()
    return _wrote(connection, statement, to_row(value))


def put_row(connection: Connection, table: Table, key: Sequence[str], row: dict[str, Any]) -> None:
    """Add the row, or overwrite the one of the same `key` columns."""
    statement = insert(connection, table)
    new = {name: statement.excluded[name] for name in row if name not in key}
    connection.execute(statement.on_conflict_do_update(index_elements=key, set_=new), row)


def _wrote(connection: Connection, statement: Insert, row: dict[str, object]) -> bool:
    return connection.execute(statement, row).rowcount == 1
