"""How rows are written. Every refused row leaves the transaction usable, on both databases.

Each statement is put together once: to build it anew takes longer than SQLite takes to run it, and
the write transaction waits for both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final

from sqlalchemy import Connection, Executable, Table, Update, bindparam, update
from sqlalchemy.dialects import postgresql, sqlite

from proctor.core.event import Event
from proctor.core.promotion import Promotion, PromotionStatus
from proctor.core.record import OutboxNotice
from proctor.core.run import Run, RunStatus
from proctor.ledger.columns import class_of
from proctor.ledger.mapping import to_row
from proctor.ledger.reads.base import among, of

UNIQUE_BEYOND_ID: Final[Mapping[type, tuple[str, ...]]] = {
    Event: ("identity_digest",),
    Run: ("hub_id", "pipeline", "revision", "number"),
    Promotion: ("hub_id", "release"),
    OutboxNotice: ("key_digest", "channel"),
}
"""The columns that make a record unique beside its id."""

ENDS: Final[Mapping[type, tuple[str, ...]]] = {
    Run: tuple(s.value for s in RunStatus if s.ended),
    Promotion: tuple(s.value for s in PromotionStatus if s.ended),
}
"""The statuses that are never left."""

_WAS = "was_"
"""How the names of what an UPDATE looks for begin; those of what it sets are the columns'."""


def add_row(connection: Connection, value: object) -> bool:
    """Add the row of a core value unless something unique about it is there already; returns
    whether it was added."""
    return add_rows(connection, [value]) == 1


def add_rows(connection: Connection, values: Sequence[object]) -> int:
    """Add the rows of core values of one class unless something unique about them is there
    already; returns how many were added."""
    statement = _addition(connection.dialect.name, of(class_of(values[0])))
    return connection.execute(statement, _bound([to_row(value) for value in values])).rowcount


def put_row(connection: Connection, table: Table, key: Sequence[str], row: dict[str, Any]) -> None:
    """Add the row, or overwrite the one of the same `key` columns."""
    put_rows(connection, table, key, [row])


def put_rows(
    connection: Connection, table: Table, key: Sequence[str], rows: Sequence[dict[str, Any]]
) -> None:
    """`put_row` for each: all have the same columns."""
    statement = _putting(connection.dialect.name, table, tuple(key), tuple(rows[0]))
    connection.execute(statement, _bound(rows))


def change_rows(connection: Connection, records: Sequence[object]) -> int:
    """Overwrite records of one class by id, each unless it has left an ended status or changed
    what makes it unique; returns how many were overwritten.

    So no row can be refused, and neither a savepoint is needed nor a look before."""
    cls = class_of(records[0])
    statement, sought = _change(cls)
    bound = []
    for record in records:
        row = to_row(record)
        was = {_WAS + name: row[name] for name in sought}
        bound.append({name: row[name] for name in row if name not in _fixed(cls)} | was)
    return connection.execute(statement, _bound(bound)).rowcount


def _bound(rows: Sequence[dict[str, Any]]) -> Any:
    """One row goes as it is: a list, even of one, takes the longer way through the driver."""
    return rows[0] if len(rows) == 1 else rows


@cache
def _addition(dialect: str, table: Table) -> Executable:
    # Nobody wants the new `seq` back, but the count of rows: drop RETURNING, keep the count.
    statement = _insert(dialect, table).on_conflict_do_nothing().inline()
    return statement.execution_options(preserve_rowcount=True)


@cache
def _putting(
    dialect: str, table: Table, key: tuple[str, ...], columns: tuple[str, ...]
) -> Executable:
    statement = _insert(dialect, table)
    new = {name: statement.excluded[name] for name in columns if name not in key}
    return statement.on_conflict_do_update(index_elements=key, set_=new)


def _insert(dialect: str, table: Table) -> postgresql.Insert | sqlite.Insert:
    """An INSERT that knows ON CONFLICT."""
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)


@cache
def _change(cls: Any) -> tuple[Update, tuple[str, ...]]:
    """The statement of `change_rows`, and the columns that it looks for."""
    table = of(cls)
    statement = update(table).where(*(table.c[n] == bindparam(_WAS + n) for n in _fixed(cls)))
    if cls not in ENDS:
        return statement, _fixed(cls)
    stays = table.c.status == bindparam(f"{_WAS}status")
    return statement.where(stays | ~among(table.c.status, ENDS[cls])), (*_fixed(cls), "status")


def _fixed(cls: Any) -> tuple[str, ...]:
    return ("id", *UNIQUE_BEYOND_ID.get(cls, ()))
