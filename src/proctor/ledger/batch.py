"""Statements over many rows at once, as text for the driver, and the rows to go with them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from operator import attrgetter
from typing import Any, Final, Generic, TypeVar, cast

from proctor.ledger.codec import dumps
from proctor.ledger.columns import Column, as_it_is, class_of, columns_of, copied
from proctor.ledger.text import escape, unescape

T = TypeVar("T")

MANY: Final = 32
"""Rows in one SQLite statement. The driver lets go of the interpreter's lock for each step of a
statement, and has to fight the event loop to get it back."""

_ARRAYS: Final = {str: "text[]", list: "text[]", int: "int8[]", float: "float8[]", bytes: "bytea[]"}
"""https://www.postgresql.org/docs/current/arrays.html"""

_UNSTORABLE: Final = ("\\u0000", "\\u0010", "\\ud")
"""How characters that `text.escape` changes begin in JSON."""


class Batch(Generic[T]):
    """How values of one class go into their table by the hundred, and come back."""

    def __init__(self, cls: type[T], table: str, *extra: str) -> None:
        """`extra` names the columns (of text) that are copied out of a value beside its fields."""
        known: Any = cls
        own = columns_of(known)
        self._cls, self._extra = cls, extra
        self._get = attrgetter(*(c.name for c in own))
        self._writers = tuple(map(_writer, own))
        self._readers = tuple(map(_reader, own))
        self.columns = (*(c.name for c in own), *extra)
        self.listed = ", ".join(self.columns)
        self.inserted = f"INSERT INTO {table} ({self.listed})"
        marks = f"({', '.join('?' * len(self.columns))})"
        self.insert = f"{self.inserted} VALUES {marks} ON CONFLICT DO NOTHING"
        many = ", ".join([marks] * MANY)
        self.insert_many = f"{self.inserted} VALUES {many} ON CONFLICT DO NOTHING"
        kinds = [_ARRAYS[c.holds] for c in own] + ["text[]"] * len(extra)
        arrays = ", ".join(f"%b::{kind}" for kind in kinds)
        self.unnested = f"SELECT {self.listed} FROM unnest({arrays}) AS asked ({self.listed})"  # noqa: S608 - names of our own columns

    def rows(self, values: Iterable[T]) -> list[tuple[object, ...]]:
        """What the driver binds for `values`: a tuple each, in the order of `columns`."""
        rows = []
        for value in values:
            row = [write(v) for write, v in zip(self._writers, self._get(value), strict=True)]
            if self._extra:
                more = copied(value)
                row += [more[name] for name in self._extra]
            rows.append(tuple(row))
        return rows

    def arrays(self, values: Iterable[T]) -> tuple[list[object], ...]:
        """The same, a list for each column: what `unnested` binds."""
        return tuple(list(column) for column in zip(*self.rows(values), strict=True))

    def value(self, row: Sequence[Any]) -> T:
        """The value of a row that begins with the columns of its fields."""
        return self._cls(*(read(v) for read, v in zip(self._readers, row, strict=False)))


def _writer(column: Column) -> Callable[[Any], object]:
    if column.holds is list:
        return flat_json if column.write is dumps else column.write
    if column.holds is not str:
        return column.write
    if column.write is as_it_is:
        return _words
    return lambda value: _words(cast(str | None, column.write(value)))


def _words(text: str | None) -> str | None:
    return None if text is None else escape(text)


def _reader(column: Column) -> Callable[[Any], Any]:
    read = column.read
    if column.holds is not str:
        return read
    return lambda stored: read(stored if stored is None else unescape(stored))


def flat_json(value: Sequence[object]) -> str:
    """`codec.dumps` for sequences of pairs of texts or of plain dataclasses, several times as
    fast."""
    if not value:
        return "[]"
    if type(value[0]) is tuple:
        pairs = cast(Sequence[tuple[str, str]], value)
        text = f"[{','.join([f'[{_quoted(a)},{_quoted(b)}]' for a, b in pairs])}]"
    else:
        text = _ENCODER.encode(value)
    return dumps(value) if any(sign in text for sign in _UNSTORABLE) else text


def _fields(value: object) -> dict[str, object]:
    return {name: getattr(value, name) for name in _names(class_of(value))}


@cache
def _names(cls: Any) -> tuple[str, ...]:
    if not is_dataclass(cls):
        raise TypeError(f"JSON cannot hold a {cls.__name__}")
    return tuple(f.name for f in fields(cls))


_quoted: Final = json.encoder.encode_basestring_ascii
_ENCODER: Final = json.JSONEncoder(separators=(",", ":"), default=_fields)
