"""Engines, set up so that a commit means on disk and no wait is without end."""

from __future__ import annotations

from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event

from proctor.core.address import read_address
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
    found = read_address(text)
    return URL.create(
        found.kind,
        found.user,
        found.password,
        found.host,
        found.port,
        found.database,
        {
            name: tuple(values) if len(values) > 1 else values[0]
            for name, values in found.query.items()
        },
    )


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
