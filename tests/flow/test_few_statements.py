"""A worker's write transactions stay short: they take few statements, however much there is.

Counted, not timed: each statement is a round trip to PostgreSQL, and on SQLite all wait meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Connection, event

from proctor.core.rule import CheckSpec, Rules
from proctor.ledger import SqlLedger, open_ledger
from proctor.ports.clock import Clock

from .conftest import CHAT, RULES, Walkthrough

MOST = 21
"""Statements in one write transaction of a push on its way to prod."""


class Counting(SqlLedger):
    """A ledger on a file that counts the statements of each write transaction."""

    def __init__(self, clock: Clock, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        url = f"sqlite:///{folder}/ledger.db"
        open_ledger(url, clock).close()  # which makes the tables
        super().__init__(url, clock)
        self.counted: list[int] = []

    @contextmanager
    def _begun(self) -> Iterator[Connection]:
        with super()._begun() as connection:
            statements: list[str] = []

            def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
                statements.append(statement)

            event.listen(connection, "before_cursor_execute", note)
            yield connection
        self.counted.append(len(statements))

    def most(self) -> int:
        """The most of a transaction since this was last asked."""
        counted, self.counted = self.counted, []
        return max(counted)


@contextmanager
def counting(folder: Path, rules: Rules = RULES) -> Iterator[tuple[Walkthrough, Counting]]:
    """A walk on a ledger that counts."""
    walk = Walkthrough(folder, rules, ledger=lambda clock: Counting(clock, folder))
    with closing(walk):
        assert isinstance(walk.ledger, Counting)
        yield walk, walk.ledger


def test_a_push_on_its_way_to_prod(tmp_path: Path) -> None:
    with counting(tmp_path) as (walk, ledger):
        head = walk.pushed_and_settled()
        assert walk.tags()["prod"] == head
        assert ledger.most() <= MOST
        walk.pushed_and_settled(0.1)
        assert ledger.most() <= MOST


def test_pushes_before_it_cost_nothing(tmp_path: Path) -> None:
    with counting(tmp_path) as (walk, ledger):
        walk.pushed_and_settled()
        ledger.most()
        walk.pushed_and_settled()
        one = ledger.most()
        for _ in range(10):
            walk.pushed_and_settled()
        assert ledger.most() == one


@pytest.mark.parametrize("extra", [0, 30])
def test_refs_and_events_of_one_look(tmp_path: Path, extra: int) -> None:
    with counting(tmp_path) as (walk, ledger):
        walk.pushed_and_settled()
        head = walk.push()
        for number in range(1 + extra):
            walk.hub.create_tag(walk.repo, f"v{number}", head, "a person's")
        ledger.most()
        walk.settle()
        assert walk.tags()["prod"] == head
        assert ledger.most() <= MOST


@pytest.mark.parametrize("extra", [0, 10])
def test_checks_of_one_run(tmp_path: Path, extra: int) -> None:
    more = tuple(CheckSpec(f"more-{n}", "smoke") for n in range(extra))
    waiting = tuple(CheckSpec(f"late-{n}", "smoke", needs=("full",)) for n in range(extra))
    pipeline = replace(CHAT, checks=(*CHAT.checks, *more, *waiting))
    with counting(tmp_path, replace(RULES, pipelines=(pipeline,))) as (walk, ledger):
        head = walk.pushed_and_settled()
        assert walk.tags()["prod"] == head
        assert ledger.most() <= MOST
