"""When a run may begin at the earliest."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Runs on record may have begun at any time. The default stays in the database: a process of
    the release before, still running, adds runs without the column."""
    op.add_column("runs", sa.Column("begins_at", sa.Double(), nullable=False, server_default="0"))


def downgrade() -> None:
    """Runs that wait to begin do so at once."""
    op.drop_column("runs", "begins_at")
