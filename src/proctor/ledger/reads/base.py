"""How rows are read. Every read of the ledger goes through here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, Select, Table, select

from proctor.ledger.mapping import ROWS, to_value
from proctor.ledger.tables import table

T = TypeVar("T")

Condition = ColumnElement[bool]


class Reads:
    """Reads over one connection, whose transaction makes them consistent.

    A write transaction reads by id with FOR UPDATE (SQLite has no such thing and needs none: its
    write transaction holds the whole file).
    """

    _locking = False

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def _one(self, cls: type[T], *conditions: Condition) -> T | None:
        """The value whose row is named by `conditions`, locked in a write transaction."""
        query = select(of(cls)).where(*conditions)
        return self._first(cls, query.with_for_update() if self._locking else query)

    def _first(self, cls: type[T], query: Select[Any]) -> T | None:
        row = self._connection.execute(query.limit(1)).first()
        return None if row is None else to_value(cls, row)

    def _many(self, cls: type[T], query: Select[Any]) -> Sequence[T]:
        return tuple(to_value(cls, row) for row in self._connection.execute(query))


def of(cls: type[object]) -> Table:
    """The table that keeps values of this class."""
    return table(ROWS[cls])
