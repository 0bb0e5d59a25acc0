"""Engines, set up so that a commit means on disk and no wait is without end."""

from __future__ import annotations

import sqlite3
import time
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError

BUSY_TIMEOUT = 5.0
"""Seconds that a writer waits for another writer (SQLite's busy_timeout, PostgreSQL's
lock_timeout) before the ledger is unavailable."""

CONNECT_TIMEOUT = 5
"""Seconds to connect to a server, and to find that a connection is dead."""

STATEMENT_TIMEOUT = 15.0
"""Seconds for one statement on PostgreSQL; ours take milliseconds."""

_IDLE_TIMEOUT = 60.0
"""Seconds that PostgreSQL lets a transaction of a frozen host hold its locks."""

WRITES = "proctor_writes"
"""Execution option of connections whose transactions write."""


def read_url(text: str) -> URL:
    """The URL of a database that the ledger can live in. Raises ValueError otherwise, without
    repeating the URL: it may hold a password."""
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise ValueError(
            "not a database URL; expected sqlite:///path or postgresql+psycopg://user@host/name"
        ) from None
    if url.drivername in ("postgresql", "postgres"):
        url = url.set(drivername="postgresql+psycopg")
    if url.drivername == "sqlite+pysqlite":
        url = url.set(drivername="sqlite")
    if url.drivername not in ("sqlite", "postgresql+psycopg"):
        raise ValueError(f"the ledger lives in SQLite or PostgreSQL, not in {url.drivername}")
    return url


def make_engine(url: URL, *, lock_timeout: float = BUSY_TIMEOUT) -> Engine:
    """An engine for this process alone: never use it across a fork. `lock_timeout` in seconds."""
    if url.get_backend_name() == "sqlite":
        return _sqlite(url, lock_timeout)
    return _postgres(url, lock_timeout)


def _sqlite(url: URL, lock_timeout: float) -> Engine:
    engine = create_engine(
        url,
        connect_args={"timeout": lock_timeout},
        pool_timeout=lock_timeout,
        hide_parameters=True,  # errors reach logs; rows must not
    )

    @event.listens_for(engine, "connect")
    def set_up(connection: Any, _record: object) -> None:
        # The driver must not begin transactions by itself: `begin` below does.
        # https://docs.sqlalchemy.org/en/20/dialects/sqlite.html#pysqlite-serializable
        connection.isolation_level = None
        _ensure_wal(connection, lock_timeout)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get(WRITES, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


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


def _postgres(url: URL, lock_timeout: float) -> Engine:
    milliseconds = {
        "lock_timeout": lock_timeout,
        "statement_timeout": max(STATEMENT_TIMEOUT, 2 * lock_timeout),
        "idle_in_transaction_session_timeout": _IDLE_TIMEOUT,
    }
    options = [f"-c {name}={int(seconds * 1000)}" for name, seconds in milliseconds.items()]
    given = url.query.get("options", "")
    return create_engine(
        url.difference_update_query(["options"]),
        connect_args={
            "connect_timeout": CONNECT_TIMEOUT,
            # A host that vanished: https://www.postgresql.org/docs/current/libpq-connect.html
            "keepalives_idle": CONNECT_TIMEOUT,
            "keepalives_interval": CONNECT_TIMEOUT,
            "keepalives_count": 2,
            "tcp_user_timeout": CONNECT_TIMEOUT * 2000,
            # What the URL says comes last, and wins.
            "options": " ".join([*options, *([given] if isinstance(given, str) else given)]),
        },
        isolation_level="READ COMMITTED",
        pool_pre_ping=True,
        pool_timeout=CONNECT_TIMEOUT,
        hide_parameters=True,
    )
