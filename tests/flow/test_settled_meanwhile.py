"""A hold is settled in the very moment in which a run stops at it: on PostgreSQL, where two
transactions run side by side."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest
from tests.flow.conftest import Walkthrough
from tests.patience import patient

from proctor.core.run import RunStatus, StepKind
from proctor.ledger import SqlLedger, open_ledger
from proctor.ports.ledger import Ledger, Transaction


@dataclass(slots=True)
class Interrupted:
    """A ledger in whose first transaction something comes between the last write and the commit."""

    ledger: SqlLedger
    between: Callable[[], None] | None

    def __getattr__(self, name: str) -> object:
        return getattr(self.ledger, name)

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        with self.ledger.transaction() as tx:
            yield tx
            between, self.between = self.between, None
            if between is not None:
                between()


@pytest.mark.parametrize("accept", [False, True])
def test_a_run_that_stops_at_a_hold_as_it_is_settled_does_not_wait_for_ever(
    tmp_path: Path, postgres_url: str, accept: bool
) -> None:
    walk = Walkthrough(tmp_path, ledger=lambda clock: open_ledger(patient(postgres_url), clock))
    try:
        walk.pushed_and_settled()
        hers = walk.hub.commit(walk.repo, {"notes.md": b"mine"}, ref="refs/heads/hers")
        walk.hub.move_tag(walk.repo, "staging", hers)
        walk.settle()  # a look finds it: a hold
        second = walk.push(0.95)
        step = walk.until(StepKind.PROMOTE)

        def settle_it() -> None:
            walk.ask.release(walk.repo.name, "staging", accept, "ana")

        person = threading.Thread(target=settle_it)

        def meanwhile() -> None:
            person.start()
            person.join(1.0)  # or it waits for our commit

        ledger = cast("Ledger", Interrupted(walk.ledger, meanwhile))
        walk.worker_named("w2", ledger=ledger).perform(step.id)
        person.join()
        walk.settle()
        (run,) = walk.runs(second)
        assert run.status is (RunStatus.HELD if accept else RunStatus.PROMOTED)
        with walk.ledger.view() as view:
            assert not view.holds()
    finally:
        walk.close()
