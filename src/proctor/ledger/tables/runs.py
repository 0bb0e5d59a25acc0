"""Runs, their checks, the evidence and the verdicts."""

from sqlalchemy import Index

from proctor.ledger.tables.base import Row, json_text, maybe_words, seconds, sequence, words


class RunRow(Row, table=True):
    """`proctor.core.run.Run`."""

    __tablename__ = "runs"
    __table_args__ = (
        Index("runs_id", "id", unique=True),
        Index("runs_number", "hub_id", "pipeline", "revision", "number", unique=True),
        Index("runs_status", "status", "created_at"),
        Index("runs_revision", "hub_id", "revision"),
        Index("runs_created", "created_at"),
    )

    seq: int | None = sequence()
    id: str = words()
    hub_id: str = words()
    repo_type: str = words()
    repo_name: str = words()
    revision: str = words()
    ref: str = words()
    pipeline: str = words()
    created_at: float = seconds()
    updated_at: float = seconds()
    status: str = words()
    reason: str = words()
    number: int
    again_of: str | None = maybe_words()
    event_id: str | None = maybe_words()
    begins_at: float = seconds()


class RunCheckRow(Row, table=True):
    """`proctor.core.run.RunCheck`."""

    __tablename__ = "checks"
    __table_args__ = (
        Index("checks_id", "id", unique=True),
        Index("checks_run", "run_id"),
    )

    seq: int | None = sequence()
    id: str = words()
    run_id: str = words(foreign_key="runs.id")
    name: str = words()
    use: str = words()
    parameters: str = json_text()
    needs: str = json_text()
    status: str = words()
    evidence_id: str | None = maybe_words()
    content: str = json_text()


class EvidenceRow(Row, table=True):
    """`proctor.core.evidence.Evidence`. Never changed once recorded."""

    __tablename__ = "evidence"
    __table_args__ = (Index("evidence_id", "id", unique=True),)

    seq: int | None = sequence()
    id: str = words()
    check: str = words()
    revision: str = words()
    outcome: str = words()
    findings: str = json_text()
    error: str | None = maybe_words()


class VerdictRow(Row, table=True):
    """`proctor.core.record.VerdictRecord`."""

    __tablename__ = "verdicts"
    __table_args__ = (
        Index("verdicts_id", "id", unique=True),
        Index("verdicts_run", "run_id"),
    )

    seq: int | None = sequence()
    id: str = words()
    run_id: str = words(foreign_key="runs.id")
    verdict: str = json_text()
    gate: str = json_text()
    gate_digest: str = words()
    evidence_ids: str = json_text()
    judged_at: float = seconds()
