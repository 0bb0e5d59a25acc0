"""Rows of our tables to core values and back."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, TypeVar, cast

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
from proctor.ledger.columns import Column, class_of, columns_of, copied

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


def to_row(value: object) -> dict[str, object]:
    """The columns that keep a core value."""
    columns = {c.name: c.write(getattr(value, c.name)) for c in columns_of(class_of(value))}
    return columns | copied(value)


def to_value(cls: type[T], row: ResultRow[Any]) -> T:
    """The core value that a row keeps."""
    found = row._mapping
    columns: tuple[Column, ...] = columns_of(cast(Hashable, cls))
    return cls(**{c.name: c.read(found[c.name]) for c in columns})
