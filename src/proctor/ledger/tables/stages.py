"""Stages: promotions, their journal, where the tags are, holds, and what people are told."""

from sqlalchemy import Index, text
from sqlmodel import Field

from proctor.ledger.tables.base import (
    Row,
    json_text,
    maybe_seconds,
    maybe_words,
    seconds,
    sequence,
    words,
)
from proctor.ledger.words import Words


class PromotionRow(Row, table=True):
    """`proctor.core.promotion.Promotion`."""

    __tablename__ = "promotions"
    __table_args__ = (
        Index("promotions_id", "id", unique=True),
        Index(
            "promotions_release",
            "hub_id",
            "release",
            unique=True,
            sqlite_where=text("release <> ''"),
            postgresql_where=text("release <> ''"),
        ),
        Index("promotions_stage", "hub_id", "stage"),
        Index("promotions_run", "run_id"),
        Index("promotions_status", "status"),
        Index("promotions_created", "created_at"),
    )

    seq: int | None = sequence()
    id: str = words()
    hub_id: str = words()
    run_id: str = words()
    stage: str = words()
    revision: str = words()
    expected: str | None = maybe_words()
    release: str = words()
    cause: str = words()
    by: str = words()
    created_at: float = seconds()
    status: str = words()
    reason: str = words()
    ended_at: float | None = maybe_seconds()


class OperationRow(Row, table=True):
    """`proctor.core.promotion.Operation`: the journal of a promotion."""

    __tablename__ = "operations"
    __table_args__ = (
        Index("operations_id", "id", unique=True),
        Index("operations_promotion", "promotion_id"),
        Index(
            "operations_unmatched",
            "hub_id",
            sqlite_where=text("event_id IS NULL"),
            postgresql_where=text("event_id IS NULL"),
        ),
    )

    seq: int | None = sequence()
    id: str = words()
    promotion_id: str = words(foreign_key="promotions.id")
    hub_id: str = words()
    kind: str = words()
    tag: str = words()
    revision: str = words()
    recorded_at: float = seconds()
    observed_at: float | None = maybe_seconds()
    event_id: str | None = maybe_words()


class StageHeadRow(Row, table=True):
    """`proctor.core.record.StageHead`."""

    __tablename__ = "stage_heads"

    hub_id: str = Field(sa_type=Words, primary_key=True)
    stage: str = Field(sa_type=Words, primary_key=True)
    revision: str = words()
    since: float = seconds()
    promotion_id: str | None = maybe_words()


class HoldRow(Row, table=True):
    """`proctor.core.record.Hold`."""

    __tablename__ = "holds"
    __table_args__ = (
        Index("holds_id", "id", unique=True),
        Index("holds_hub_id", "hub_id"),
    )

    seq: int | None = sequence()
    id: str = words()
    hub_id: str = words()
    stage: str = words()
    reason: str = words()
    found: str | None = maybe_words()
    expected: str | None = maybe_words()
    since: float = seconds()
    released_at: float | None = maybe_seconds()


class OutboxRow(Row, table=True):
    """`proctor.core.record.OutboxNotice`; the notice's key is copied out for its uniqueness (as
    a digest: it may be longer than an index entry of PostgreSQL)."""

    __tablename__ = "outbox"
    __table_args__ = (
        Index("outbox_id", "id", unique=True),
        Index("outbox_key", "key_digest", "channel", unique=True),
    )

    seq: int | None = sequence()
    id: str = words()
    channel: str = words()
    key_digest: str = Field(max_length=64)
    notice: str = json_text()
    created_at: float = seconds()
    state: str = words()
    sent_at: float | None = maybe_seconds()
    error: str | None = maybe_words()
