"""What the ledger says when its database cannot serve."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import pytest

from proctor.core.errors import LedgerUnavailable
from proctor.ledger import SqlLedger, open_ledger
from proctor.ledger.migrate import downgrade
from proctor.testing.contracts.ledger_samples import a_check, a_delivery
from proctor.testing.fake_clock import FakeClock


class Postgres(Protocol):
    """The server of the fixture `postgres_server`."""

    def start(self) -> None: ...
    def stop(self) -> None: ...


def test_postgres_restart_is_survived(postgres_server: Postgres, postgres_url: str) -> None:
    ledger = open_ledger(postgres_url, FakeClock())
    ledger.ping()
    postgres_server.stop()
    try:
        with pytest.raises(LedgerUnavailable):
            ledger.ping()
        with pytest.raises(LedgerUnavailable), ledger.transaction() as tx:
            tx.add_deliveries([a_delivery()])
        with pytest.raises(LedgerUnavailable):
            ledger.claim("s1", "w1", 60.0)
    finally:
        postgres_server.start()
    ledger.ping()
    with ledger.transaction() as tx:
        tx.add_deliveries([a_delivery()])
    ledger.close()


def test_a_connection_cut_inside_a_transaction(
    postgres_server: Postgres, postgres_url: str
) -> None:
    ledger = open_ledger(postgres_url, FakeClock())

    def cut_in_the_middle() -> None:
        with ledger.transaction() as tx:
            tx.add_deliveries([a_delivery()])
            postgres_server.stop()
            try:
                tx.add_deliveries([a_delivery("d2")])
            finally:
                postgres_server.start()

    with pytest.raises(LedgerUnavailable):
        cut_in_the_middle()
    with ledger.view() as view:
        assert not view.deliveries()
    ledger.close()


def test_no_credentials_in_messages() -> None:
    ledger = SqlLedger("postgresql://ann:s3cret@127.0.0.1:1/proctor", FakeClock())
    with pytest.raises(LedgerUnavailable) as told:
        ledger.ping()
    assert "127.0.0.1:1/proctor" in str(told.value)
    assert "s3cret" not in str(told.value)
    assert "s3cret" not in repr(ledger)
    ledger.close()


@pytest.mark.parametrize("text", ["", "nonsense", "mysql://u:s3cret@h/db", "u:s3cret@h"])
def test_urls_of_nothing_we_know(text: str) -> None:
    with pytest.raises(ValueError) as told:
        SqlLedger(text, FakeClock())
    assert "s3cret" not in str(told.value)


@pytest.fixture
def ledger(url: str) -> Iterator[SqlLedger]:
    """A ledger on each database."""
    ledger = open_ledger(url, FakeClock())
    yield ledger
    ledger.close()


def test_an_older_schema_is_named(ledger: SqlLedger) -> None:
    ledger.close()
    downgrade(ledger.url, "base")
    with pytest.raises(LedgerUnavailable, match="schema up to date"):
        ledger.ping()
    with pytest.raises(LedgerUnavailable, match="schema"), ledger.view() as view:
        view.runs()
    with pytest.raises(LedgerUnavailable, match="schema"), ledger.transaction() as tx:
        tx.add_deliveries([a_delivery()])


def test_what_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    path.write_bytes(b"this is no database" * 100)
    with pytest.raises(LedgerUnavailable, match="not a database"):
        open_ledger(f"sqlite:///{path}", FakeClock())
    with pytest.raises(LedgerUnavailable, match="unable to open"):
        open_ledger(f"sqlite:///{tmp_path}/no/such/folder/x.db", FakeClock())


def test_a_full_disk(tmp_path: Path) -> None:
    """SQLite's own page limit stands for the disk: the same error path (SQLITE_FULL)."""
    ledger = open_ledger(f"sqlite:///{tmp_path}/ledger.db", FakeClock())
    with pytest.raises(LedgerUnavailable, match="full"), ledger.transaction() as tx:
        pages = tx._connection.exec_driver_sql("PRAGMA page_count").scalar()
        tx._connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
        for n in range(1000):
            tx.add_deliveries([a_delivery(f"d{n}")])
    with ledger.view() as view:
        assert not view.deliveries()
    ledger.close()


def test_a_commit_is_on_disk(tmp_path: Path) -> None:
    ledger = open_ledger(f"sqlite:///{tmp_path}/ledger.db", FakeClock())
    with ledger.transaction() as tx:
        wanted = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}
        for name, value in wanted.items():
            assert tx._connection.exec_driver_sql(f"PRAGMA {name}").scalar() == value
    ledger.close()


def test_postgres_waits_are_bounded(postgres_url: str) -> None:
    one, other = (open_ledger(postgres_url, FakeClock()) for _ in range(2))
    with one.transaction() as tx:
        tx.add_deliveries([a_delivery()])
        tx.delivery("d1")
        with pytest.raises(LedgerUnavailable, match="lock timeout"), other.transaction() as rival:
            rival.add_deliveries([a_delivery()])
    for ledger in (one, other):
        ledger.close()


def test_refused_values_are_no_outage(ledger: SqlLedger) -> None:
    with pytest.raises(ValueError, match="refuses"), ledger.transaction() as tx:
        tx.add(replace(a_check(), run_id="no such run"))


def test_the_private_file_goes_with_its_ledger() -> None:
    ledger = open_ledger("sqlite://", FakeClock())
    path = Path(ledger.url.removeprefix("sqlite:///"))
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM runs").fetchone() == (0,)
    connection.close()
    ledger.close()
    del ledger
    assert not path.exists()
