"""How rows are read. Every read of the ledger goes through here."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import cache
from typing import Any, TypeVar, cast

from sqlalchemy import Column, ColumnElement, Connection, Select, Table, bindparam, or_, select

from proctor.ledger.mapping import ROWS, to_value
from proctor.ledger.tables import table

T = TypeVar("T")


class Reads:
    """Reads over one connection, whose transaction makes them consistent.

    A write transaction reads by id with FOR UPDATE (SQLite has no such thing and needs none: its
    write transaction holds the whole file).
    """

    _locking = False

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def _one(self, cls: type[T], **key: str) -> T | None:
        """The value whose row is named by the columns of `key`, locked in a write transaction."""
        query = _by_key(cast(Hashable, cls), tuple(key), self._locking)
        row = self._connection.execute(query, key).first()
        return None if row is None else to_value(cls, row)

    def _first(self, cls: type[T], query: Select[Any]) -> T | None:
        row = self._connection.execute(query.limit(1)).first()
        return None if row is None else to_value(cls, row)

    def _many(self, cls: type[T], query: Select[Any]) -> Sequence[T]:
        return tuple(to_value(cls, row) for row in self._connection.execute(query))


@cache
def _by_key(cls: Any, key: tuple[str, ...], locking: bool) -> Select[Any]:
    """Put together once: that takes longer than SQLite takes to answer."""
    rows = of(cls)
    query = select(rows).where(*(rows.c[name] == bindparam(name) for name in key))
    return query.with_for_update() if locking else query


def among(column: Column[Any], values: Sequence[str]) -> ColumnElement[bool]:
    """Whether a column has one of a few values: an IN would be written anew for each execution."""
    return or_(*(column == value for value in values))


def of(cls: type[object]) -> Table:
    """The table that keeps values of this class."""
    return table(ROWS[cls])
