"""The ledger's contract on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from proctor.ledger import SqlLedger, open_ledger
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


class TestPostgres(LedgerContract):
    """A real PostgreSQL."""

    @pytest.fixture
    def ledger(self, postgres_url: str, clock: FakeClock) -> Iterator[SqlLedger]:
        """A fresh database."""
        ledger = open_ledger(postgres_url, clock)
        yield ledger
        ledger.close()
