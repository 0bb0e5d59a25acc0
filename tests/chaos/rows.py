"""All of a ledger's bytes, whatever it lives in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import create_engine, inspect, text


def rows(database: str) -> Iterator[bytes]:
    """Every row of every table as bytes; for SQLite also the file as it is."""
    engine = create_engine(database)
    try:
        if engine.url.get_backend_name() == "sqlite":
            assert engine.url.database
            for path in sorted(Path(engine.url.database).parent.glob("proctor.db*")):
                yield path.read_bytes()
        with engine.connect() as connection:
            for table in inspect(engine).get_table_names():
                for row in connection.execute(text(f'SELECT * FROM "{table}"')):  # noqa: S608 - our own tables
                    yield repr(tuple(row)).encode()
    finally:
        engine.dispose()
