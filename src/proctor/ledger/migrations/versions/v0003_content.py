"""What the folders that a check names held when its run was planned."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Of checks on record it is not known, so their verdicts open no gate that names a folder. The
    default stays in the database: a process of the release before, still running, adds checks
    without the column."""
    op.add_column("checks", sa.Column("content", sa.Text(), nullable=False, server_default="{}"))


def downgrade() -> None:
    """The checks stay, without what their folders held."""
    op.drop_column("checks", "content")
