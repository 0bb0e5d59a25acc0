"""What is known of repos: names, refs, registry entries."""

from sqlalchemy import Index
from sqlmodel import Field

from proctor.ledger.tables.base import Row, json_text, maybe_words, seconds, sequence, words
from proctor.ledger.words import Words


class KnownRepoRow(Row, table=True):
    """`proctor.core.record.KnownRepo`; type and name are copied out of `repo` for lookups."""

    __tablename__ = "repos"
    __table_args__ = (Index("repos_name", "name"),)

    hub_id: str = Field(sa_type=Words, primary_key=True)
    type: str = words()
    name: str = words()
    repo: str = json_text()
    first_seen: float = seconds()
    seen_at: float = seconds()
    gone_because: str = words()


class RefChangeRow(Row, table=True):
    """`proctor.core.record.RefChange`."""

    __tablename__ = "ref_changes"
    __table_args__ = (
        Index("ref_changes_id", "id", unique=True),
        Index("ref_changes_hub_id", "hub_id", "seq"),
    )

    seq: int | None = sequence()
    id: str = words()
    hub_id: str = words()
    ref: str = words()
    old: str | None = maybe_words()
    new: str | None = maybe_words()
    seen_at: float = seconds()


class RefSeenRow(Row, table=True):
    """A ref of a repo as last seen. `ref_digest` stands for the name in the key: a ref may be
    longer than an index entry of PostgreSQL."""

    __tablename__ = "refs_seen"

    hub_id: str = Field(sa_type=Words, primary_key=True)
    ref_digest: str = Field(max_length=64, primary_key=True)
    ref: str = words()
    revision: str = words()


class EntryRow(Row, table=True):
    """`proctor.core.record.Entry`; the revision is copied out of the description."""

    __tablename__ = "entries"
    __table_args__ = (Index("entries_revision", "hub_id", "revision", unique=True),)

    seq: int | None = sequence()
    hub_id: str = words()
    revision: str = words()
    description: str = json_text()
    commits: str = json_text()
    changed: str = json_text()
    synced_at: float = seconds()
