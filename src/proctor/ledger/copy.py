"""Copies of a ledger that lives in a SQLite file, taken while it is in use, and their proof."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from proctor.core.errors import LedgerUnavailable, Refused
from proctor.ledger.drivers import BUSY_TIMEOUT
from proctor.ledger.engine import read_url
from proctor.ledger.schema import HEAD


def file_of(url: str) -> Path | None:
    """The file that the ledger of this URL lives in; None when it is no SQLite file."""
    where = read_url(url)
    if where.get_backend_name() != "sqlite" or not where.database:
        return None
    return Path(where.database).absolute()


def copy(file: Path, into: Path) -> None:
    """Copy the ledger as it is at one moment. Writers are not kept from writing.

    In one step: a backup by pages begins anew whenever another process writes
    (https://www.sqlite.org/backup.html), and may never end. Raises LedgerUnavailable.
    """
    try:
        with (
            closing(_opened(file, "rw")) as source,
            closing(sqlite3.connect(into)) as target,
        ):
            source.execute(f"PRAGMA busy_timeout = {int(BUSY_TIMEOUT * 1000)}")
            source.backup(target, pages=-1)
            target.execute("PRAGMA journal_mode = DELETE")  # one file, without a log beside it
    except sqlite3.Error as error:
        raise LedgerUnavailable(f"the ledger cannot be copied: {error}") from None


def prove(file: Path) -> str:
    """The migration that a copy is at. Raises Refused unless it is whole, and a ledger that this
    code can read."""
    try:
        with closing(_opened(file, "ro")) as connection:
            (said,) = connection.execute("PRAGMA integrity_check").fetchone()
            found = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.Error as error:
        raise Refused(f"its ledger cannot be read: {error}") from None
    if said != "ok":
        raise Refused(f"its ledger is damaged: {said}")
    if found is None or found[0] > HEAD:
        at = found[0] if found else "none"
        raise Refused(f"its ledger is at migration {at}, this Proctor knows {HEAD} at most")
    return str(found[0])


def _opened(file: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(f"{file.absolute().as_uri()}?mode={mode}", uri=True)
