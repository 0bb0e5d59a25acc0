"""Steps that workers claim, and the record of each try."""

from sqlalchemy import Index, text
from sqlmodel import Field

from proctor.ledger.tables.base import (
    Row,
    maybe_seconds,
    maybe_words,
    seconds,
    sequence,
    words,
)
from proctor.ledger.words import Words

OPEN_STEP = text("state IN ('ready', 'running')")
"""The condition of the partial index that keeps one open step for each (kind, subject)."""

_HOLDS_LOCK = text("state = 'running' AND lock <> ''")


class StepRow(Row, table=True):
    """`proctor.core.run.Step`. `again_due` is set when a RUNNING step was asked for again: the
    time at which it becomes due once more."""

    __tablename__ = "steps"
    __table_args__ = (
        Index("steps_id", "id", unique=True),
        Index(
            "steps_open",
            "kind",
            "subject",
            unique=True,
            sqlite_where=OPEN_STEP,
            postgresql_where=OPEN_STEP,
        ),
        Index(
            "steps_lock",
            "lock",
            unique=True,
            sqlite_where=_HOLDS_LOCK,
            postgresql_where=_HOLDS_LOCK,
        ),
        Index("steps_due", "state", "due_at"),
        Index("steps_subject", "kind", "subject"),
    )

    seq: int | None = sequence()
    id: str = words()
    kind: str = words()
    subject: str = words()
    queue: str = words()
    due_at: float = seconds()
    lock: str = words()
    state: str = words()
    attempts: int
    fence: int
    worker: str | None = maybe_words()
    lease_until: float | None = maybe_seconds()
    error: str | None = maybe_words()
    again_due: float | None = maybe_seconds()


class AttemptRow(Row, table=True):
    """`proctor.core.run.Attempt`."""

    __tablename__ = "attempts"
    __table_args__ = (Index("attempts_subject", "kind", "subject"),)

    step_id: str = Field(sa_type=Words, primary_key=True, foreign_key="steps.id")
    fence: int = Field(primary_key=True)
    kind: str = words()
    subject: str = words()
    worker: str = words()
    started_at: float = seconds()
    ended_at: float | None = maybe_seconds()
    outcome: str | None = maybe_words()
