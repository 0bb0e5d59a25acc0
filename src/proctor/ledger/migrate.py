"""Migrations from Python: several processes may start at once, one of them migrates.

To write a migration: change the tables, then
`alembic.command.revision(configuration(), "what changes", autogenerate=False)`, fill it in by
hand, and move `schema.HEAD`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text

from proctor.core.errors import LedgerUnavailable
from proctor.ledger.engine import WRITES, make_engine, read_url
from proctor.ledger.errors import told
from proctor.ledger.reads.version import version
from proctor.ledger.schema import HEAD

PATIENCE = 60.0
"""Seconds to wait for another process that migrates."""

_LOCK = 0x70726F63746F72  # "proctor": the advisory lock of whoever migrates


def upgrade(url: str) -> None:
    """Bring the schema up to date, all of it or nothing. Raises LedgerUnavailable when the
    database cannot serve, or is newer than this code."""
    _alone(url, _to_head)


def downgrade(url: str, revision: str) -> None:
    """Go back to `revision` ("base" for an empty database), losing what it cannot hold."""
    _alone(url, lambda connection: command.downgrade(configuration(connection), revision))


def current(url: str) -> str | None:
    """The migration that the database is at; None for an empty one."""
    where = read_url(url)
    engine = make_engine(where)
    try:
        with told(where), engine.connect() as connection:
            return version(connection)
    finally:
        engine.dispose()


def configuration(connection: Connection | None = None) -> Config:
    """Alembic's configuration, with the folder of this package and a connection to use."""
    config = Config()
    config.set_main_option("path_separator", "os")
    config.set_main_option(
        "script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%")
    )
    config.attributes["connection"] = connection
    return config


def _to_head(connection: Connection) -> None:
    found = version(connection)
    if found == HEAD:
        return
    if found is not None and found > HEAD:
        raise LedgerUnavailable(
            f"the database is at migration {found}, this Proctor knows {HEAD} at most: "
            "run the newer version"
        )
    command.upgrade(configuration(connection), HEAD)


def _alone(url: str, migrate: Callable[[Connection], None]) -> None:
    where = read_url(url)
    engine = make_engine(where, lock_timeout=PATIENCE)
    try:
        with (
            told(where),
            engine.connect().execution_options(**{WRITES: True}) as connection,
            connection.begin(),
        ):
            # SQLite: BEGIN IMMEDIATE has locked the file.
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            migrate(connection)
    finally:
        engine.dispose()
