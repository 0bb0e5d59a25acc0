"""The first schema."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = (
    "deliveries",
    "events",
    "repos",
    "ref_changes",
    "refs_seen",
    "entries",
    "runs",
    "checks",
    "evidence",
    "verdicts",
    "promotions",
    "operations",
    "stage_heads",
    "holds",
    "outbox",
    "steps",
    "attempts",
)


def upgrade() -> None:
    """From an empty database."""
    _intake()
    _repos()
    _runs()
    _stages()
    _steps()


def downgrade() -> None:
    """To an empty database."""
    for name in reversed(TABLES):
        op.drop_table(name)


def _seq() -> sa.Column[Any]:
    big = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    return sa.Column("seq", big, primary_key=True)


def _words(*names: str, null: bool = False) -> list[sa.Column[Any]]:
    return [sa.Column(name, sa.Text(), nullable=null) for name in names]


def _seconds(*names: str, null: bool = False) -> list[sa.Column[Any]]:
    return [sa.Column(name, sa.Double(), nullable=null) for name in names]


def _only_where(condition: str) -> dict[str, Any]:
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}


def _intake() -> None:
    op.create_table(
        "deliveries",
        _seq(),
        *_words("id"),
        *_seconds("received_at"),
        *_words("webhook_id", null=True),
        *_words("headers"),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        *_words("disposition", "reason"),
        *_words("event_id", null=True),
    )
    op.create_index("deliveries_event", "deliveries", ["event_id", "seq"])
    op.create_index("deliveries_id", "deliveries", ["id"], unique=True)
    op.create_table(
        "events",
        _seq(),
        *_words("id", "identity"),
        sa.Column("identity_digest", sa.String(64), nullable=False),
        *_words("source"),
        *_seconds("received_at"),
        *_words("action", "scope", "repo_type", "hub_id", "repo_name", "updates"),
        *_words("head", null=True),
        *_words("disposition", "reason"),
        *_words("run_id", null=True),
    )
    op.create_index("events_disposition", "events", ["disposition", "seq"])
    op.create_index("events_hub_id", "events", ["hub_id", "seq"])
    op.create_index("events_id", "events", ["id"], unique=True)
    op.create_index("events_identity", "events", ["identity_digest"], unique=True)
    op.create_index(
        "events_pending", "events", ["hub_id"], **_only_where("disposition = 'pending'")
    )


def _repos() -> None:
    op.create_table(
        "repos",
        *_words("hub_id", "type", "name", "repo"),
        *_seconds("first_seen", "seen_at"),
        *_words("gone_because"),
        sa.PrimaryKeyConstraint("hub_id"),
    )
    op.create_index("repos_name", "repos", ["name"])
    op.create_table(
        "ref_changes",
        _seq(),
        *_words("id", "hub_id", "ref"),
        *_words("old", "new", null=True),
        *_seconds("seen_at"),
    )
    op.create_index("ref_changes_hub_id", "ref_changes", ["hub_id", "seq"])
    op.create_index("ref_changes_id", "ref_changes", ["id"], unique=True)
    op.create_table(
        "refs_seen",
        *_words("hub_id"),
        sa.Column("ref_digest", sa.String(64), nullable=False),
        *_words("ref", "revision"),
        sa.PrimaryKeyConstraint("hub_id", "ref_digest"),
    )
    op.create_table(
        "entries",
        _seq(),
        *_words("hub_id", "revision", "description", "commits", "changed"),
        *_seconds("synced_at"),
    )
    op.create_index("entries_revision", "entries", ["hub_id", "revision"], unique=True)


def _runs() -> None:
    op.create_table(
        "runs",
        _seq(),
        *_words("id", "hub_id", "repo_type", "repo_name", "revision", "ref", "pipeline"),
        *_seconds("created_at", "updated_at"),
        *_words("status", "reason"),
        sa.Column("number", sa.Integer(), nullable=False),
        *_words("again_of", "event_id", null=True),
    )
    op.create_index("runs_created", "runs", ["created_at"])
    op.create_index("runs_id", "runs", ["id"], unique=True)
    op.create_index(
        "runs_number", "runs", ["hub_id", "pipeline", "revision", "number"], unique=True
    )
    op.create_index("runs_revision", "runs", ["hub_id", "revision"])
    op.create_index("runs_status", "runs", ["status", "created_at"])
    op.create_table(
        "checks",
        _seq(),
        *_words("id", "run_id", "name", "use", "parameters", "needs", "status"),
        *_words("evidence_id", null=True),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"]),
    )
    op.create_index("checks_id", "checks", ["id"], unique=True)
    op.create_index("checks_run", "checks", ["run_id"])
    op.create_table(
        "evidence",
        _seq(),
        *_words("id", "check", "revision", "outcome", "findings"),
        *_words("error", null=True),
    )
    op.create_index("evidence_id", "evidence", ["id"], unique=True)
    op.create_table(
        "verdicts",
        _seq(),
        *_words("id", "run_id", "verdict", "gate", "gate_digest", "evidence_ids"),
        *_seconds("judged_at"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"]),
    )
    op.create_index("verdicts_id", "verdicts", ["id"], unique=True)
    op.create_index("verdicts_run", "verdicts", ["run_id"])


def _stages() -> None:
    op.create_table(
        "promotions",
        _seq(),
        *_words("id", "hub_id", "run_id", "stage", "revision"),
        *_words("expected", null=True),
        *_words("release", "cause", "by"),
        *_seconds("created_at"),
        *_words("status", "reason"),
        *_seconds("ended_at", null=True),
    )
    op.create_index("promotions_created", "promotions", ["created_at"])
    op.create_index("promotions_id", "promotions", ["id"], unique=True)
    op.create_index(
        "promotions_release",
        "promotions",
        ["hub_id", "release"],
        unique=True,
        **_only_where("release <> ''"),
    )
    op.create_index("promotions_run", "promotions", ["run_id"])
    op.create_index("promotions_stage", "promotions", ["hub_id", "stage"])
    op.create_index("promotions_status", "promotions", ["status"])
    op.create_table(
        "operations",
        _seq(),
        *_words("id", "promotion_id", "hub_id", "kind", "tag", "revision"),
        *_seconds("recorded_at"),
        *_seconds("observed_at", null=True),
        *_words("event_id", null=True),
        sa.ForeignKeyConstraint(["promotion_id"], ["promotions.id"]),
    )
    op.create_index("operations_id", "operations", ["id"], unique=True)
    op.create_index("operations_promotion", "operations", ["promotion_id"])
    op.create_index(
        "operations_unmatched", "operations", ["hub_id"], **_only_where("event_id IS NULL")
    )
    op.create_table(
        "stage_heads",
        *_words("hub_id", "stage", "revision"),
        *_seconds("since"),
        *_words("promotion_id", null=True),
        sa.PrimaryKeyConstraint("hub_id", "stage"),
    )
    op.create_table(
        "holds",
        _seq(),
        *_words("id", "hub_id", "stage", "reason"),
        *_words("found", "expected", null=True),
        *_seconds("since"),
        *_seconds("released_at", null=True),
    )
    op.create_index("holds_hub_id", "holds", ["hub_id"])
    op.create_index("holds_id", "holds", ["id"], unique=True)
    op.create_table(
        "outbox",
        _seq(),
        *_words("id", "channel"),
        sa.Column("key_digest", sa.String(64), nullable=False),
        *_words("notice"),
        *_seconds("created_at"),
        *_words("state"),
        *_seconds("sent_at", null=True),
        *_words("error", null=True),
    )
    op.create_index("outbox_id", "outbox", ["id"], unique=True)
    op.create_index("outbox_key", "outbox", ["key_digest", "channel"], unique=True)


def _steps() -> None:
    op.create_table(
        "steps",
        _seq(),
        *_words("id", "kind", "subject", "queue"),
        *_seconds("due_at"),
        *_words("lock", "state"),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        *_words("worker", null=True),
        *_seconds("lease_until", null=True),
        *_words("error", null=True),
        *_seconds("again_due", null=True),
    )
    op.create_index("steps_due", "steps", ["state", "due_at"])
    op.create_index("steps_id", "steps", ["id"], unique=True)
    op.create_index(
        "steps_lock",
        "steps",
        ["lock"],
        unique=True,
        **_only_where("state = 'running' AND lock <> ''"),
    )
    op.create_index(
        "steps_open",
        "steps",
        ["kind", "subject"],
        unique=True,
        **_only_where("state IN ('ready', 'running')"),
    )
    op.create_index("steps_subject", "steps", ["kind", "subject"])
    op.create_table(
        "attempts",
        *_words("step_id"),
        sa.Column("fence", sa.Integer(), nullable=False),
        *_words("kind", "subject", "worker"),
        *_seconds("started_at"),
        *_seconds("ended_at", null=True),
        *_words("outcome", null=True),
        sa.PrimaryKeyConstraint("step_id", "fence"),
        sa.ForeignKeyConstraint(["step_id"], ["steps.id"]),
    )
    op.create_index("attempts_subject", "attempts", ["kind", "subject"])
