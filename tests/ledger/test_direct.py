"""The receiver's own way into the ledger means what the ledger means, and outlives its outages."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from tests.web.conftest import sample

from proctor.clock import HostsClock
from proctor.core.errors import LedgerUnavailable
from proctor.core.run import Step, StepKind
from proctor.flow.accept import Arrival, accept_all
from proctor.ledger import SqlLedger, open_ledger
from proctor.ledger.direct import DirectIntake
from proctor.ledger.drivers import BUSY_TIMEOUT
from proctor.testing.contracts.ledger_samples import HOSTILE, T0, a_delivery, an_event
from proctor.testing.fake_clock import FakeClock

NASTY = "".join(HOSTILE)


@pytest.fixture
def ledger(url: str) -> Iterator[SqlLedger]:
    """The same database, through the front door."""
    opened = open_ledger(url, FakeClock())
    yield opened
    opened.close()


@pytest.fixture
def intake(ledger: SqlLedger, url: str) -> Iterator[DirectIntake]:
    """The way in."""
    made = DirectIntake(url)
    yield made
    made.close()


def _step(id: str, subject: str, due_at: float = T0) -> Step:
    return Step(id, StepKind.PLAN, subject, "io", due_at)


def test_what_goes_in_is_on_record(intake: DirectIntake, ledger: SqlLedger) -> None:
    events = [
        replace(an_event(f"e{n}", identity=f"{n} {NASTY}"), repo_name=NASTY) for n in range(70)
    ]
    deliveries = [
        replace(a_delivery(f"d{n}"), headers=(("x", NASTY),), body=bytes(range(256)))
        for n in range(70)
    ]
    with intake.transaction() as tx:
        assert [s.id for s in tx.add_steps([_step("s1", "one"), _step("s2", "tw\x00o")])] == [
            "s1",
            "s2",
        ]
        known = tx.add_events([*events, an_event("late", identity=events[3].identity)])
        tx.add_deliveries(deliveries)
    assert known == {event.identity: event.id for event in events}
    with ledger.view() as view:
        assert list(view.events(limit=100)) == events[::-1]
        assert list(view.deliveries(limit=100)) == deliveries[::-1]
        assert {s.subject for s in view.open_steps()} == {"one", "tw\x00o"}


def test_both_ways_in_see_one_another(intake: DirectIntake, ledger: SqlLedger) -> None:
    with ledger.transaction() as tx:
        tx.add_event(an_event("e1", identity="a"))
        tx.add_step(_step("s1", "one", T0 + 60))
    with intake.transaction() as tx:
        assert tx.add_events([an_event("e2", identity="a")]) == {"a": "e1"}
        (stands,) = tx.add_steps([_step("s2", "one", T0)])
    assert (stands.id, stands.due_at) == ("s1", T0)


def test_an_error_leaves_nothing_behind(intake: DirectIntake, ledger: SqlLedger) -> None:
    with pytest.raises(KeyError), intake.transaction() as tx:
        tx.add_deliveries([a_delivery("d1")])
        raise KeyError
    with pytest.raises(ValueError), intake.transaction() as tx:
        tx.add_deliveries([a_delivery("d2"), a_delivery("d2")])
    with intake.transaction() as tx:
        tx.add_deliveries([a_delivery("d3")])
    with ledger.view() as view:
        assert [d.id for d in view.deliveries()] == ["d3"]


def test_threads_take_turns(intake: DirectIntake, ledger: SqlLedger) -> None:
    def write(name: int) -> None:
        for n in range(10):
            with intake.transaction() as tx:
                tx.add_deliveries([a_delivery(f"d{name}-{n}")])

    threads = [threading.Thread(target=write, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with ledger.view() as view:
        assert len(view.deliveries()) == 40


def test_a_database_without_tables_says_so(url: str) -> None:
    intake = DirectIntake(url)
    for ask in (intake.ping, lambda: _write(intake)):
        with pytest.raises(LedgerUnavailable, match="proctor doctor"):
            ask()
    intake.close()


def test_an_older_schema_says_so(intake: DirectIntake, ledger: SqlLedger) -> None:
    intake.ping()
    with ledger._writing() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0001'")
    with pytest.raises(LedgerUnavailable, match="at migration 0001"):
        intake.ping()


def test_a_locked_file_is_unavailable_and_then_it_is_not(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    open_ledger(url, FakeClock()).close()
    intake = DirectIntake(url)
    _write(intake)
    rival = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)
    rival.execute("BEGIN IMMEDIATE")
    with pytest.raises(LedgerUnavailable, match="locked"):
        _write(intake)
    rival.close()
    _write(intake)
    intake.close()
    assert BUSY_TIMEOUT < 10


def test_a_file_that_was_replaced_is_not_written_to(tmp_path: Path) -> None:
    """As a restore does, under a receiver that runs."""
    url = f"sqlite:///{tmp_path}/ledger.db"
    open_ledger(url, FakeClock()).close()
    intake = DirectIntake(url)
    _write(intake)
    for name in ("ledger.db", "ledger.db-wal", "ledger.db-shm"):
        (tmp_path / name).rename(tmp_path / f"aside-{name}")
    other = open_ledger(url, FakeClock())
    with intake.transaction() as tx:
        tx.add_deliveries([a_delivery("after")])
    with other.view() as view:
        assert [d.id for d in view.deliveries()] == ["after"]
    other.close()
    (tmp_path / "ledger.db").unlink()
    with pytest.raises(LedgerUnavailable):
        _write(intake)  # there are no tables in what it would have to make
    intake.close()


def test_a_server_that_hung_up_is_asked_again(postgres_url: str) -> None:
    open_ledger(postgres_url, FakeClock()).close()
    intake = DirectIntake(postgres_url)
    _write(intake)
    _hang_up(postgres_url)
    _write(intake)  # nothing of it was sent before: it begins on a new connection
    intake.close()


def test_a_server_that_hangs_up_within_is_unavailable(postgres_url: str) -> None:
    open_ledger(postgres_url, FakeClock()).close()
    intake = DirectIntake(postgres_url)
    with pytest.raises(LedgerUnavailable), intake.transaction() as tx:
        tx.add_deliveries([a_delivery("d1")])
        _hang_up(postgres_url)
        tx.add_deliveries([a_delivery("d2")])
    _write(intake)
    intake.close()


def test_it_tells_the_shared_time(postgres_url: str) -> None:
    class Behind(HostsClock):
        def machine(self) -> float:
            return super().machine() - 1000

    clock = Behind()
    open_ledger(postgres_url, clock).close()
    clock.ahead = 0.0
    intake = DirectIntake(postgres_url, clock.correct)
    intake.ping()
    intake.close()
    assert abs(clock.ahead - 1000) < 30


def test_the_first_delivery_is_due_by_the_shared_time(postgres_url: str) -> None:
    class Ahead(HostsClock):
        def machine(self) -> float:
            return super().machine() + 7200

    open_ledger(postgres_url, HostsClock()).close()
    clock = Ahead()
    intake = DirectIntake(postgres_url, clock.correct)
    arrival = Arrival("w1", (), sample("repo.content-push"), clock.now())
    (accepted,) = accept_all(intake, clock, [arrival])
    intake.close()
    assert accepted.step is not None
    assert accepted.step.due_at < time.time() + 60


@pytest.mark.parametrize(
    "url",
    [
        "mysql://me:hush-hush@there/it",
        "postgresql://me:hush-hush@it:port/it",
        "sqlite://",
        "sqlite:///",
        "sqlite:///x?mode=ro",
    ],
)
def test_what_is_no_database_of_ours_is_refused(url: str) -> None:
    with pytest.raises(ValueError) as refused:
        DirectIntake(url)
    assert "hush" not in str(refused.value)


def test_a_password_stays_out_of_errors() -> None:
    intake = DirectIntake("postgresql+psycopg://me:hush-hush@127.0.0.1:1/it")
    with pytest.raises(LedgerUnavailable) as refused:
        _write(intake)
    assert "hush" not in str(refused.value)
    assert "127.0.0.1:1/it" in str(refused.value)


_numbers = iter(range(10**6))


def _write(intake: DirectIntake) -> None:
    with intake.transaction() as tx:
        tx.add_deliveries([a_delivery(f"w{next(_numbers)}")])


def _hang_up(url: str) -> None:
    """As a server that restarts does, to everyone else."""
    address = url.replace("+psycopg", "")
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE pid <> pg_backend_pid() AND datname = current_database()"
        )
