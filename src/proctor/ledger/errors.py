"""What drivers raise, in the words of the port."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import URL
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from proctor.core.errors import LedgerUnavailable

SCHEMA_REMEDY = "run `proctor doctor` to bring its schema up to date"

# https://www.postgresql.org/docs/current/errcodes-appendix.html
_PG_REFUSED_VALUES = ("22", "23", "54")  # data exception, constraint, program limit (too long)
_PG_NO_SCHEMA = ("42P01", "42703", "3F000")  # undefined table, column, schema
_PG_OURS = ("42", "0A")  # our own statement is wrong: a bug, not an outage
_SQLITE_NO_SCHEMA = ("no such table", "no such column", "has no column named")


@contextmanager
def told(url: URL) -> Iterator[None]:
    """Turn what the driver raises into LedgerUnavailable, or ValueError for refused values.

    Messages never hold the password of `url`. A bug of ours passes as it is.
    """
    try:
        yield
    except PoolTimeout as error:
        raise LedgerUnavailable(
            f"the database at {place(url)} is too busy: no connection became free"
        ) from error
    except IntegrityError as error:
        raise ValueError(f"the ledger refuses this: {_reason(error, url)}") from error
    except DBAPIError as error:
        raise _translated(error, url) from error


def _translated(error: DBAPIError, url: URL) -> Exception:
    original, reason = error.orig, _reason(error, url)
    unavailable = LedgerUnavailable(f"the database at {place(url)} cannot serve now: {reason}")
    no_schema = LedgerUnavailable(
        f"the database at {place(url)} has an older schema ({reason}): {SCHEMA_REMEDY}"
    )
    if isinstance(original, sqlite3.Error):
        if any(sign in reason for sign in _SQLITE_NO_SCHEMA):
            return no_schema
        if isinstance(original, sqlite3.DataError | sqlite3.IntegrityError):
            return ValueError(f"the ledger refuses this: {reason}")
        return error if isinstance(original, sqlite3.ProgrammingError) else unavailable
    state = getattr(original, "sqlstate", None) or ""
    if state in _PG_NO_SCHEMA:
        return no_schema
    if state.startswith(_PG_REFUSED_VALUES):
        return ValueError(f"the ledger refuses this: {reason}")
    return error if state.startswith(_PG_OURS) else unavailable


def _reason(error: SQLAlchemyError, url: URL) -> str:
    original = getattr(error, "orig", None) or error
    first = str(original).strip().split("\n", 1)[0] or type(original).__name__
    return first.replace(url.password, "***") if url.password else first


def place(url: URL) -> str:
    """The database for people, without credentials."""
    return url.set(username=None, password=None, query={}).render_as_string()
