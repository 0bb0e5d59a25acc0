"""A verdict is computed again from the record, and a record that was tampered with is seen (P7)."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Cli, Record

REPO = "acme/bot"


def tampered(cli: Cli, sql: str, *values: str) -> None:
    """Someone with a database client."""
    path = Path(cli.environ["PROCTOR_HOME"]) / "proctor.db"
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("PRAGMA foreign_keys = OFF")
        assert database.execute(sql, values).rowcount > 0, "nothing was changed"


@pytest.mark.parametrize("which", ["held", "now"])
def test_the_record_bears_its_verdicts_out(cli: Cli, past: Record, which: str) -> None:
    target = f"{REPO}@{past.pushes[which]}"
    done = cli("why", target, "--verify")
    assert done.status == 0
    assert "recomputed: the same" in done.out
    (run,) = cli("why", target, "--verify", "--json").facts["runs"]
    assert run["verified"]["same"] is True and run["verified"]["differences"] == []
    recorded = {name: run["verdict"][name] for name in ("result", "reasons")}
    assert run["verified"]["recomputed"] == recorded
    assert "verified" not in cli("why", target, "--json").facts["runs"][0]


def test_it_needs_no_configuration(cli: Cli, past: Record) -> None:
    (cli.folder / "proctor.yaml").unlink()
    assert cli("why", f"{REPO}@{past.pushes['held']}", "--verify").status == 0


THE_METRIC = "update evidence set findings = replace(findings, '\"value\":0', '\"value\":1')"
TAMPERED = {
    f"{THE_METRIC} where revision = ?": "the verdict on record is fail, now pass",
    "update evidence set outcome = 'errored', error = 'x' where revision = ?": (
        "the verdict on record is fail, now inconclusive"
    ),
    "delete from evidence where revision = ?": "is not on record",
    "update verdicts set verdict = replace(verdict, '\"fail\"', '\"pass\"') where run_id in "
    "(select id from runs where revision = ?)": "the verdict on record is pass, now fail",
    "update verdicts set gate = replace(gate, '1.0', '0.0') where run_id in "
    "(select id from runs where revision = ?)": "are not those that were judged by",
    "update checks set parameters = '{}' where run_id in "
    "(select id from runs where revision = ?)": "are not those that were judged by",
    "update checks set evidence_id = 'another' where run_id in "
    "(select id from runs where revision = ?)": "name other evidence than the verdict does",
}


@pytest.mark.parametrize("sql", TAMPERED)
def test_what_was_tampered_with_is_seen(cli: Cli, past: Record, sql: str) -> None:
    target = f"{REPO}@{past.pushes['held']}"
    tampered(cli, sql, past.pushes["held"])
    done = cli("why", target, "--verify", "--json")
    assert done.status == 1
    (verified,) = [run["verified"] for run in done.facts["runs"]]
    assert verified["same"] is False
    assert any(TAMPERED[sql] in text for text in verified["differences"]), verified
    drawn = cli("why", target, "--verify")
    assert drawn.status == 1 and "recomputed: it differs" in drawn.out
    assert cli("why", f"{REPO}@{past.pushes['now']}", "--verify").status == 0


def test_other_words_for_the_same_are_shown_and_no_difference(cli: Cli, past: Record) -> None:
    """As after an upgrade that tells numbers in another way."""
    target = f"{REPO}@{past.pushes['held']}"
    reason = cli("why", target, "--json").facts["runs"][0]["verdict"]["reasons"][0]["text"]
    sql = "update verdicts set verdict = replace(verdict, ?, 'too low') where run_id in "
    sql += "(select id from runs where revision = ?)"
    tampered(cli, sql, reason, past.pushes["held"])
    done = cli("why", target, "--verify", "--json")
    assert done.status == 0
    (verified,) = [run["verified"] for run in done.facts["runs"]]
    assert verified["same"] is True
    assert verified["otherwise"] == [f"on record: too low; now: {reason}"]
    drawn = cli("why", target, "--verify")
    assert "recomputed: the same" in drawn.out and "in other words" in drawn.out


def test_evidence_of_another_revision_is_none(cli: Cli, past: Record) -> None:
    sql = "update evidence set revision = ? where revision = ?"
    tampered(cli, sql, past.pushes["before"], past.pushes["now"])
    done = cli("why", f"{REPO}@{past.pushes['now']}", "--verify", "--json")
    assert done.status == 1
    (text,) = done.facts["runs"][0]["verified"]["differences"]
    assert f"is about {past.pushes['before'][:8]}" in text


def test_where_there_is_no_verdict_nothing_is_borne_out(cli: Cli, past: Record) -> None:
    tampered(cli, "delete from verdicts")
    done = cli("why", f"{REPO}@{past.pushes['now']}", "--verify")
    assert done.status == 1 and "has a verdict that could be computed again" in done.line
