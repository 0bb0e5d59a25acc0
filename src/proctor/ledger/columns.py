"""How the fields of core values become columns. A column is named like the field that it keeps.

Free of any database library: the receiver, which has to be small, writes rows with the bare driver.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from enum import Enum
from functools import cache, lru_cache
from types import NoneType
from typing import Any, get_args, get_type_hints

from proctor.core.event import Event
from proctor.core.record import Entry, KnownRepo, OutboxNotice
from proctor.ledger.codec import decoder, dumps


@lru_cache(maxsize=1024)  # the same few are asked for again within a transaction
def digest(text: str) -> str:
    """A key of fixed length for a string of any length and content."""
    # Most are identities, in hex: what JSON makes of those is known.
    quoted = f'"{text}"' if text.isalnum() and text.isascii() else json.dumps(text)
    return hashlib.sha256(quoted.encode()).hexdigest()


_COPIED: Mapping[type, Callable[[Any], dict[str, object]]] = {
    Event: lambda event: {"identity_digest": digest(event.identity)},
    KnownRepo: lambda known: {
        "hub_id": known.repo.hub_id,
        "type": known.repo.type.value,
        "name": known.repo.name,
    },
    Entry: lambda entry: {"revision": entry.revision},
    OutboxNotice: lambda notice: {"key_digest": digest(notice.notice.key)},
}
"""Columns copied out of a value for lookups and uniqueness."""


@dataclass(frozen=True, slots=True)
class Column:
    """One field of a core value: its name, the way to its column and back, and what the column
    holds: str, int, float, bytes, or list for JSON (text in ASCII)."""

    name: str
    write: Callable[[Any], object]
    read: Callable[[Any], Any]
    holds: type


def copied(value: object) -> dict[str, object]:
    """The columns copied out of a value for lookups and uniqueness."""
    copy = _COPIED.get(class_of(value))
    return copy(value) if copy else {}


def class_of(value: object) -> Any:
    """Its type, for `cache`: a type is hashable, whatever it is the type of."""
    return type(value)


@cache
def columns_of(cls: Any) -> tuple[Column, ...]:
    """The columns that keep the fields of a core value, in their order."""
    hints = get_type_hints(cls)
    return tuple(_column(f.name, hints[f.name]) for f in fields(cls))


def _column(name: str, hint: Any) -> Column:
    bare = (
        [a for a in get_args(hint) if a is not NoneType] if NoneType in get_args(hint) else [hint]
    )
    type_ = getattr(bare[0], "__supertype__", bare[0])
    if len(bare) == 1 and isinstance(type_, type):
        if issubclass(type_, Enum):
            # StrEnum's own text: drivers look at the exact class of what they bind.
            return Column(name, lambda e: e and str(e.value), lambda s: s and type_(s), str)
        if type_ is float:
            # Both ways: SQLite's RETURNING gives 5.0 as 5.
            return Column(name, _float, _float, float)
        if type_ in (str, int, bool, bytes):
            return Column(name, as_it_is, as_it_is, int if type_ is bool else type_)
    decode = decoder(hint)
    return Column(name, dumps, lambda text: decode(json.loads(text)), list)


def _float(value: Any) -> float | None:
    return None if value is None else float(value)


def as_it_is(value: Any) -> Any:
    """Columns that hold what the field holds."""
    return value
