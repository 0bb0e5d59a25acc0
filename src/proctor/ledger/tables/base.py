"""What all tables share. Rows are private to the ledger: core values go in and come out."""

from typing import Any

from sqlalchemy import BigInteger, Double, Integer, MetaData, Table, Text, inspect
from sqlmodel import Field, SQLModel

from proctor.ledger.words import Words

BIG = BigInteger().with_variant(Integer(), "sqlite")
"""SQLite counts by itself only in a column that says INTEGER; it holds 64 bits there."""


class Row(SQLModel):
    """Base of the ledger's tables; its metadata holds them and nothing else."""

    metadata = MetaData()


def sequence() -> Any:
    """The order of recording: the primary key, so that newest-first needs no index of its own."""
    return Field(default=None, primary_key=True, sa_type=BIG)


def words(*, foreign_key: str | None = None) -> Any:
    """A string, whatever it holds."""
    if foreign_key is not None:
        return Field(sa_type=Words, foreign_key=foreign_key)
    return Field(sa_type=Words)


def maybe_words() -> Any:
    """A string or None."""
    return Field(default=None, sa_type=Words, nullable=True)


def json_text() -> Any:
    """JSON in ASCII. TEXT, not JSONB: that refuses NUL and rewrites numbers."""
    return Field(sa_type=Text)


def seconds() -> Any:
    """A time in seconds since the epoch, exact to the bit."""
    return Field(sa_type=Double)


def maybe_seconds() -> Any:
    """A time or None."""
    return Field(default=None, sa_type=Double, nullable=True)


def table(row: type[Row]) -> Table:
    """The SQL table of a row class."""
    found = inspect(row).local_table
    assert isinstance(found, Table)
    return found
