"""Deliveries as received, and the events that they tell."""

from sqlalchemy import Index, text
from sqlmodel import Field

from proctor.ledger.tables.base import Row, json_text, maybe_words, seconds, sequence, words


class DeliveryRow(Row, table=True):
    """`proctor.core.event.Delivery`."""

    __tablename__ = "deliveries"
    __table_args__ = (
        Index("deliveries_id", "id", unique=True),
        Index("deliveries_event", "event_id", "seq"),
    )

    seq: int | None = sequence()
    id: str = words()
    received_at: float = seconds()
    webhook_id: str | None = maybe_words()
    headers: str = json_text()
    body: bytes
    disposition: str = words()
    reason: str = words()
    event_id: str | None = maybe_words()


class EventRow(Row, table=True):
    """`proctor.core.event.Event`. `identity_digest` carries the uniqueness of `identity`, which
    may be longer than an index entry of PostgreSQL."""

    __tablename__ = "events"
    __table_args__ = (
        Index("events_id", "id", unique=True),
        Index("events_identity", "identity_digest", unique=True),
        Index("events_hub_id", "hub_id", "seq"),
        Index("events_disposition", "disposition", "seq"),
        Index(
            "events_pending",
            "hub_id",
            sqlite_where=text("disposition = 'pending'"),
            postgresql_where=text("disposition = 'pending'"),
        ),
    )

    seq: int | None = sequence()
    id: str = words()
    identity: str = words()
    identity_digest: str = Field(max_length=64)
    source: str = words()
    received_at: float = seconds()
    action: str = words()
    scope: str = words()
    repo_type: str = words()
    hub_id: str = words()
    repo_name: str = words()
    updates: str = json_text()
    head: str | None = maybe_words()
    disposition: str = words()
    reason: str = words()
    run_id: str | None = maybe_words()
