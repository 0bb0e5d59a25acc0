"""Rows to core values and back. A column is named like the field that it keeps."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, fields
from enum import Enum
from functools import cache, lru_cache
from types import NoneType
from typing import Any, TypeVar, cast, get_args, get_type_hints

from sqlalchemy import Row as ResultRow

from proctor.core.event import Delivery, Event
from proctor.core.evidence import Evidence
from proctor.core.promotion import Operation, Promotion
from proctor.core.record import (
    Entry,
    Hold,
    KnownRepo,
    OutboxNotice,
    RefChange,
    StageHead,
    VerdictRecord,
)
from proctor.core.run import Attempt, Run, RunCheck, Step
from proctor.ledger import tables
from proctor.ledger.codec import decoder, dumps

T = TypeVar("T")

ROWS: Mapping[type, type[tables.Row]] = {
    Delivery: tables.DeliveryRow,
    Event: tables.EventRow,
    KnownRepo: tables.KnownRepoRow,
    RefChange: tables.RefChangeRow,
    Entry: tables.EntryRow,
    Run: tables.RunRow,
    RunCheck: tables.RunCheckRow,
    Evidence: tables.EvidenceRow,
    VerdictRecord: tables.VerdictRow,
    Promotion: tables.PromotionRow,
    Operation: tables.OperationRow,
    StageHead: tables.StageHeadRow,
    Hold: tables.HoldRow,
    OutboxNotice: tables.OutboxRow,
    Step: tables.StepRow,
    Attempt: tables.AttemptRow,
}
"""Which table keeps which core value."""


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
    """One field of a core value: its name, and the way to its column and back."""

    name: str
    write: Callable[[Any], object]
    read: Callable[[Any], Any]


def to_row(value: object) -> dict[str, object]:
    """The columns that keep a core value."""
    columns = {c.name: c.write(getattr(value, c.name)) for c in columns_of(_class_of(value))}
    return columns | copied(value)


def copied(value: object) -> dict[str, object]:
    """The columns copied out of a value for lookups and uniqueness."""
    copy = _COPIED.get(_class_of(value))
    return copy(value) if copy else {}


def to_value(cls: type[T], row: ResultRow[Any]) -> T:
    """The core value that a row keeps."""
    found = row._mapping
    columns: tuple[Column, ...] = columns_of(cast(Hashable, cls))
    return cls(**{c.name: c.read(found[c.name]) for c in columns})


def _class_of(value: object) -> Any:
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
            return Column(name, lambda e: e and str(e.value), lambda s: s and type_(s))
        if type_ is float:
            # Both ways: SQLite's RETURNING gives 5.0 as 5.
            return Column(name, _float, _float)
        if type_ in (str, int, bool, bytes):
            return Column(name, as_it_is, as_it_is)
    decode = decoder(hint)
    return Column(name, dumps, lambda text: decode(json.loads(text)))


def _float(value: Any) -> float | None:
    return None if value is None else float(value)


def as_it_is(value: Any) -> Any:
    """Columns that hold what the field holds."""
    return value
