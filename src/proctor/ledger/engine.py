"""Engines, set up so that a commit means on disk and no wait is without end."""

from __future__ import annotations

from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError

from proctor.ledger.drivers import (
    BUSY_TIMEOUT,
    CONNECT_TIMEOUT,
    postgres_arguments,
    set_up_sqlite,
)

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
    if url.drivername == "sqlite" and url.query:
        raise ValueError("the URL of a SQLite file takes no options: give sqlite:///path")
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
        set_up_sqlite(connection, lock_timeout)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get(WRITES, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _postgres(url: URL, lock_timeout: float) -> Engine:
    return create_engine(
        url.difference_update_query(["options"]),
        connect_args=postgres_arguments(lock_timeout, url.query.get("options", "")),
        isolation_level="READ COMMITTED",
        pool_pre_ping=True,
        pool_timeout=CONNECT_TIMEOUT,
        hide_parameters=True,
    )
