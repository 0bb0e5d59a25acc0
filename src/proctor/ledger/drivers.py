"""How the drivers are set up: a commit means on disk, and no wait is without end."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from typing import Any

BUSY_TIMEOUT = 5.0
"""Seconds that a writer waits for another writer (SQLite's busy_timeout, PostgreSQL's
lock_timeout) before the ledger is unavailable."""

CONNECT_TIMEOUT = 5
"""Seconds to connect to a server, and to find that a connection is dead."""

STATEMENT_TIMEOUT = 15.0
"""Seconds for one statement on PostgreSQL; ours take milliseconds."""

_IDLE_TIMEOUT = 60.0
"""Seconds that PostgreSQL lets a transaction of a frozen host hold its locks."""


def set_up_sqlite(connection: sqlite3.Connection, lock_timeout: float) -> None:
    """Make a fresh connection ours."""
    # The driver must not begin transactions by itself: whoever uses it does.
    # https://docs.sqlalchemy.org/en/20/dialects/sqlite.html#pysqlite-serializable
    connection.isolation_level = None
    _ensure_wal(connection, lock_timeout)
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")


def _ensure_wal(connection: sqlite3.Connection, patience: float) -> None:
    """Two processes that open a new file at once collide here, and SQLite fails the second at
    once whatever its busy_timeout: https://www.sqlite.org/wal.html (section 8)."""
    deadline = time.monotonic() + patience
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def postgres_arguments(lock_timeout: float, given: str | Sequence[str]) -> dict[str, Any]:
    """What psycopg connects with beside the address; `given` are the "options" of the address."""
    milliseconds = {
        "lock_timeout": lock_timeout,
        "statement_timeout": max(STATEMENT_TIMEOUT, 2 * lock_timeout),
        "idle_in_transaction_session_timeout": _IDLE_TIMEOUT,
    }
    options = [f"-c {name}={int(seconds * 1000)}" for name, seconds in milliseconds.items()]
    return {
        "connect_timeout": CONNECT_TIMEOUT,
        # A host that vanished: https://www.postgresql.org/docs/current/libpq-connect.html
        "keepalives_idle": CONNECT_TIMEOUT,
        "keepalives_interval": CONNECT_TIMEOUT,
        "keepalives_count": 2,
        "tcp_user_timeout": CONNECT_TIMEOUT * 2000,
        # What the URL says comes last, and wins.
        "options": " ".join([*options, *([given] if isinstance(given, str) else given)]),
    }
