"""Statements over many rows at once, as text for the driver, and the rows to go with them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
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
        self._writers = tuple(map(_column_writer, own))
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

    def rows(self, values: Sequence[T]) -> list[tuple[object, ...]]:
        """What the driver binds for `values`: a tuple each, in the order of `columns`."""
        return list(zip(*self._filled(values), strict=True))

    def arrays(self, values: Sequence[T]) -> tuple[list[object], ...]:
        """The same, a list for each column: what `unnested` binds."""
        return tuple(map(list, self._filled(values)))

    def _filled(self, values: Sequence[T]) -> list[Sequence[object]]:
        """Column by column: one call for a column costs less than one for each value."""
        fields = zip(*map(self._get, values), strict=True)
        filled = [write(found) for write, found in zip(self._writers, fields, strict=True)]
        if self._extra:
            more = [copied(value) for value in values]
            filled += [[each[name] for each in more] for name in self._extra]
        return filled

    def value(self, row: Sequence[Any]) -> T:
        """The value of a row that begins with the columns of its fields."""
        return self._cls(*(read(v) for read, v in zip(self._readers, row, strict=False)))


def _column_writer(column: Column) -> Callable[[Sequence[Any]], Sequence[object]]:
    write = column.write
    if column.holds is list:
        write = flat_json if write is dumps else write
        return lambda found: [write(value) for value in found]
    if column.holds is not str:
        return lambda found: found if write is as_it_is else [write(value) for value in found]
    if write is as_it_is:
        return _words
    return lambda found: _words(_each_once(write, found))


def _each_once(write: Callable[[Any], object], found: Sequence[Any]) -> Sequence[Any]:
    """For columns that hold one of a few values."""
    written = {value: write(value) for value in set(found)}
    return [written[value] for value in found]


def _words(texts: Sequence[str | None]) -> Sequence[str | None]:
    if "".join(filter(None, texts)).isprintable():  # then so is each of them: nothing to escape
        return texts
    return [None if text is None else escape(text) for text in texts]


def _reader(column: Column) -> Callable[[Any], Any]:
    read = column.read
    if column.holds is not str:
        return read
    return lambda stored: read(stored if stored is None else unescape(stored))


def flat_json(value: Sequence[object]) -> str:
    """`codec.dumps` for sequences of pairs of texts or of plain dataclasses of texts, several times
    as fast."""
    if not value:
        return "[]"
    if type(value[0]) is tuple:
        pairs = cast(Sequence[tuple[str, str]], value)
        text = f"[{','.join([f'[{_quoted(a)},{_quoted(b)}]' for a, b in pairs])}]"
    else:
        text = f"[{','.join(map(_object, value))}]"
    return dumps(value) if "\\u" in text and any(sign in text for sign in _UNSTORABLE) else text


def _object(value: object) -> str:
    told = []
    for name in _names(class_of(value)):
        part = getattr(value, name)
        told.append(f'"{name}":{"null" if part is None else _quoted(part)}')
    return f"{{{','.join(told)}}}"


@cache
def _names(cls: Any) -> tuple[str, ...]:
    if not is_dataclass(cls):
        raise TypeError(f"JSON cannot hold a {cls.__name__}")
    return tuple(f.name for f in fields(cls))


_quoted: Final = json.encoder.encode_basestring_ascii
