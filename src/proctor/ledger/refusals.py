"""What drivers raise, in the words of the port. Knows the drivers' exceptions, and no library's."""

from __future__ import annotations

import sqlite3

from proctor.core.errors import LedgerUnavailable

SCHEMA_REMEDY = "run `proctor doctor` to bring its schema up to date"

# https://www.postgresql.org/docs/current/errcodes-appendix.html
_PG_REFUSED_VALUES = ("22", "23", "54")  # data exception, constraint, program limit (too long)
_PG_NO_SCHEMA = ("42P01", "42703", "3F000")  # undefined table, column, schema
_PG_OURS = ("42", "0A")  # our own statement is wrong: a bug, not an outage
_SQLITE_NO_SCHEMA = ("no such table", "no such column", "has no column named")


def refusal(error: BaseException, place: str, password: str | None) -> Exception | None:
    """LedgerUnavailable or ValueError for what a driver raised; None for a bug of ours.

    `place` is the database for people; `password` is kept out of the words.
    """
    reason = reason_of(error, password)
    unavailable = LedgerUnavailable(f"the database at {place} cannot serve now: {reason}")
    no_schema = LedgerUnavailable(
        f"the database at {place} has an older schema ({reason}): {SCHEMA_REMEDY}"
    )
    refused = ValueError(f"the ledger refuses this: {reason}")
    if isinstance(error, sqlite3.Error):
        if any(sign in reason for sign in _SQLITE_NO_SCHEMA):
            return no_schema
        if isinstance(error, sqlite3.DataError | sqlite3.IntegrityError):
            return refused
        return None if isinstance(error, sqlite3.ProgrammingError) else unavailable
    state = getattr(error, "sqlstate", None) or ""
    if state in _PG_NO_SCHEMA:
        return no_schema
    if state.startswith(_PG_REFUSED_VALUES):
        return refused
    return None if state.startswith(_PG_OURS) else unavailable


def reason_of(error: BaseException, password: str | None) -> str:
    """The first line of what it says, without the password."""
    first = str(error).strip().split("\n", 1)[0] or type(error).__name__
    return first.replace(password, "***") if password else first
