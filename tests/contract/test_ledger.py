"""The ledger's contract on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from proctor.ledger import SqlLedger, open_ledger
from proctor.ledger.engine import make_engine, read_url
from proctor.ledger.migrate import upgrade
from proctor.ledger.tables import metadata
from proctor.testing.contracts.ledger import LedgerContract
from proctor.testing.fake_clock import FakeClock


class TestSqliteFile(LedgerContract):
    """SQLite, in a file."""

    @pytest.fixture
    def ledger(self, tmp_path: Path, clock: FakeClock) -> Iterator[SqlLedger]:
        """A fresh file."""
        ledger = open_ledger(f"sqlite:///{tmp_path}/ledger.db", clock)
        yield ledger
        ledger.close()


class TestSqlitePrivate(LedgerContract):
    """SQLite, in a file that goes with the object."""

    @pytest.fixture
    def ledger(self, clock: FakeClock) -> Iterator[SqlLedger]:
        """A fresh private file."""
        ledger = open_ledger("sqlite://", clock)
        yield ledger
        ledger.close()


class Postgres(Protocol):
    """The server of the fixture `postgres_server`."""

    def url(self, name: str) -> str: ...
    def new_database(self) -> str: ...
    def drop_database(self, name: str) -> None: ...


@pytest.fixture(scope="module")
def migrated_postgres(postgres_server: Postgres) -> Iterator[str]:
    """One database for all tests here: making one takes longer than most of them."""
    name = postgres_server.new_database()
    upgrade(postgres_server.url(name))
    yield postgres_server.url(name)
    postgres_server.drop_database(name)


class TestPostgres(LedgerContract):
    """A real PostgreSQL."""

    @pytest.fixture
    def ledger(self, migrated_postgres: str, clock: FakeClock) -> Iterator[SqlLedger]:
        """An emptied database."""
        ledger = SqlLedger(migrated_postgres, clock)
        names = ", ".join(metadata.tables)
        engine = make_engine(read_url(migrated_postgres))
        with engine.begin() as connection:
            connection.exec_driver_sql(f"TRUNCATE {names} RESTART IDENTITY")
        engine.dispose()
        yield ledger
        ledger.close()
