"""A look that ends a run meets the step that is at work on it: one waits for the other.

On PostgreSQL each locks what it touches until it commits. Were the step to take its own row first,
and then the run, and the look them the other way round, each would wait for the other until the
server ended one of them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Engine, ExceptionContext, event
from tests.chaos.servers import OnServers
from tests.flow.conftest import Walkthrough

from proctor.core.errors import CheckFailed
from proctor.core.names import Revision
from proctor.core.run import RunStatus, StepKind
from proctor.flow.runs import supersede, sync_step

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("walks on servers")]

NEWER = Revision("f" * 40)


@pytest.fixture
def refused() -> Iterator[list[BaseException]]:
    """What the database refused, to whom ever."""
    errors: list[BaseException] = []

    def note(context: ExceptionContext) -> None:
        errors.append(context.original_exception)

    event.listen(Engine, "handle_error", note)
    yield errors
    event.remove(Engine, "handle_error", note)


@pytest.mark.parametrize(
    ("kind", "acc"),
    [
        (StepKind.SYNC, 0.9),
        (StepKind.CHECK, 0.9),
        (StepKind.CHECK, CheckFailed("broken")),
        (StepKind.JUDGE, 0.9),
    ],
)
def test_a_look_that_ends_a_run_and_its_step_do_not_block_each_other(
    servers: OnServers,
    tmp_path: Path,
    refused: list[BaseException],
    kind: StepKind,
    acc: float | Exception,
) -> None:
    with closing(Walkthrough(tmp_path, ledger=servers.ledger, queue=servers.queue)) as walk:
        pushed = walk.push(acc)
        step = walk.until(kind)
        run = walk.run(pushed)
        at_work = threading.Thread(target=walk.worker.perform, args=(step.id,))
        with walk.ledger.transaction() as tx:  # as a look does
            tx.known_repo(run.hub_id)
            tx.save(run)
            at_work.start()
            _wait_for_a_lock(servers.database)
            tx.add_step(sync_step(walk.clock, run.hub_id, pushed))
            supersede(tx, walk.clock, run, NEWER)
        at_work.join(60)
        assert not at_work.is_alive()
        assert walk.run(pushed).status is RunStatus.SUPERSEDED
        left = {step.kind for step in walk.open_steps()}
        assert not left & {StepKind.CHECK, StepKind.JUDGE, StepKind.PROMOTE}
        assert walk.tags() == {}
        assert refused == []


def _wait_for_a_lock(database: str) -> None:
    """Until somebody waits for what another has locked."""
    plain = database.replace("+psycopg", "")
    with psycopg.connect(plain, autocommit=True) as connection:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            if connection.execute("SELECT 1 FROM pg_locks WHERE NOT granted").fetchone():
                return
            time.sleep(0.02)
    raise AssertionError("nobody waits for a lock")
