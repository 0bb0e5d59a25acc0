"""Migrations make exactly the tables that the code declares, forward and back, once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, inspect
from sqlalchemy.exc import ProgrammingError

from proctor.core.errors import LedgerUnavailable
from proctor.ledger import migrate, open_ledger
from proctor.ledger.engine import make_engine, read_url
from proctor.ledger.schema import HEAD
from proctor.ledger.tables import metadata
from proctor.testing.fake_clock import FakeClock


class Crew(Protocol):
    """Does one thing in each of four processes at once; what each said."""

    def __call__(self, what: str, url: str) -> list[list[Any]]: ...


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    """An engine for looking at the schema."""
    engine = make_engine(read_url(url))
    yield engine
    engine.dispose()


def indexes(engine: Engine) -> dict[str, tuple[object, ...]]:
    """Every index: what it covers, whether it is unique, and its condition (spaces aside)."""
    found: dict[str, tuple[object, ...]] = {}
    for name in inspect(engine).get_table_names():
        for index in inspect(engine).get_indexes(name):
            options = index.get("dialect_options", {})
            where = next((v for k, v in options.items() if k.endswith("_where")), None)
            key = f"{name}.{index['name']}"
            found[key] = (tuple(index["column_names"]), bool(index["unique"]), str(where))
    return found


def test_head_is_the_newest_script() -> None:
    assert ScriptDirectory.from_config(migrate.configuration()).get_current_head() == HEAD


def test_the_schema_is_the_declared_one(url: str, engine: Engine) -> None:
    migrate.upgrade(url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
    migrated = indexes(engine)
    assert migrated
    migrate.downgrade(url, "base")
    metadata.create_all(engine)  # conditions of indexes are not compared above
    declared = indexes(engine)
    assert migrated == declared


def test_up_down_up(url: str, engine: Engine) -> None:
    assert migrate.current(url) is None
    migrate.upgrade(url)
    migrate.upgrade(url)
    assert migrate.current(url) == HEAD
    migrate.downgrade(url, "base")
    assert migrate.current(url) is None
    assert set(inspect(engine).get_table_names()) == {"alembic_version"}
    migrate.upgrade(url)
    assert migrate.current(url) == HEAD


def test_a_newer_database_is_left_alone(url: str, engine: Engine) -> None:
    ledger = open_ledger(url, FakeClock())
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(LedgerUnavailable, match="9999"):
        migrate.upgrade(url)
    with pytest.raises(LedgerUnavailable, match="9999"):
        ledger.ping()
    ledger.close()


def test_a_failed_migration_leaves_nothing(url: str, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE steps (n INTEGER)")
    with pytest.raises((LedgerUnavailable, ProgrammingError), match="already exists"):
        migrate.upgrade(url)
    assert inspect(engine).get_table_names() == ["steps"]


def test_four_processes_migrate_at_once(url: str, crew: Crew) -> None:
    assert crew("bring_up_to_date", url) == [["p0"], ["p1"], ["p2"], ["p3"]]
    assert migrate.current(url) == HEAD


def test_asking_costs_no_alembic(tmp_path: Path) -> None:
    script = """
import sys
from proctor.ledger import SqlLedger
from proctor.testing.fake_clock import FakeClock
ledger = SqlLedger("sqlite://", FakeClock())
try:
    ledger.ping()
except Exception:
    pass
ledger.close()
assert "alembic" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True, cwd=tmp_path)


RUN_OF_0001 = """
INSERT INTO runs (id, hub_id, repo_type, repo_name, revision, ref, pipeline, created_at,
                  updated_at, status, reason, number)
VALUES ('%s', 'r1', 'model', 'acme/bot', '%s', 'refs/heads/main', 'chat', 1, 1, 'planned', '', 1)
"""


def test_runs_outlive_0002_both_ways(url: str, engine: Engine) -> None:
    migrate.upgrade(url)
    migrate.downgrade(url, "0001")
    with engine.begin() as connection:
        connection.exec_driver_sql(RUN_OF_0001 % ("old", "a" * 40))
    ledger = open_ledger(url, FakeClock())
    with engine.begin() as connection:  # of a process of the release before, still running
        connection.exec_driver_sql(RUN_OF_0001 % ("late", "b" * 40))
    with ledger.view() as view:
        assert {r.id: r.begins_at for r in view.runs()} == {"old": 0.0, "late": 0.0}
    ledger.close()
    migrate.downgrade(url, "0001")
    with engine.connect() as connection:
        found = connection.exec_driver_sql("SELECT id FROM runs ORDER BY id").scalars().all()
    assert found == ["late", "old"]
