"""How rows are written. Every refused row leaves the transaction usable, on both databases."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Table
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
    # Nobody wants the new `seq` back, but the count of rows: drop RETURNING, keep the count.
    counted = statement.inline().execution_options(preserve_rowcount=True)
    return connection.execute(counted, to_row(value)).rowcount == 1


def put_row(connection: Connection, table: Table, key: Sequence[str], row: dict[str, Any]) -> None:
    """Add the row, or overwrite the one of the same `key` columns."""
    statement = insert(connection, table)
    new = {name: statement.excluded[name] for name in row if name not in key}
    connection.execute(statement.on_conflict_do_update(index_elements=key, set_=new), row)
