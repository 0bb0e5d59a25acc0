"""A push overtakes a run in the very moment in which its promotion begins: on PostgreSQL, where
two transactions run side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from tests.flow.conftest import LEASE, Walkthrough
from tests.flow.test_death_anywhere import Death
from tests.patience import patient

from proctor.core.promotion import PromotionStatus
from proctor.core.run import RunStatus, StepKind
from proctor.ledger import SqlLedger, open_ledger
from proctor.ports.ledger import Ledger, Transaction


@dataclass(slots=True)
class Overtaking:
    """A transaction in which something comes before a promotion's step is cancelled."""

    tx: Transaction
    before: Callable[[], None]

    def __getattr__(self, name: str) -> object:
        return getattr(self.tx, name)

    def cancel_steps(self, kind: StepKind, subject: str, reason: str) -> int:
        if kind is StepKind.PROMOTE:
            self.before()
        return self.tx.cancel_steps(kind, subject, reason)


@dataclass(slots=True)
class OvertakingLedger:
    """A ledger of such transactions."""

    ledger: SqlLedger
    before: Callable[[], None]

    def __getattr__(self, name: str) -> object:
        return getattr(self.ledger, name)

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        with self.ledger.transaction() as tx:
            yield cast("Transaction", Overtaking(tx, self.before))


def test_a_promotion_that_begins_as_it_is_overtaken_is_not_left_half_done(
    tmp_path: Path, postgres_url: str
) -> None:
    walk = Walkthrough(tmp_path, ledger=lambda clock: open_ledger(patient(postgres_url), clock))
    try:
        first = walk.pushed_and_settled()
        second = walk.push(0.95)
        step = walk.until(StepKind.PROMOTE)
        walk.push(0.1)
        walk.deliver_all()

        def die() -> None:
            raise Death

        def begin() -> None:
            """It is journaled, and its worker dies before the tag is touched."""
            walk.hub.before_next("delete_tag", die)
            with suppress(Death):
                walk.worker_named("dies").perform(step.id)

        ledger = cast("Ledger", OvertakingLedger(walk.ledger, begin))
        for queued in list(walk.queue.take()):
            if queued.kind is StepKind.PLAN:
                walk.worker_named("looks", ledger=ledger).perform(queued.id)
        (run,) = walk.runs(second)
        assert run.status is RunStatus.SUPERSEDED
        walk.clock.advance(LEASE + 1)
        walk.settle()
        assert (walk.tags()["staging"], walk.tags()["prod"]) == (second, first)
        with walk.ledger.view() as view:
            promotion = view.promotion(step.subject)
            assert not view.holds() and not view.promotions(open_only=True)
        assert promotion is not None and promotion.status is PromotionStatus.DONE
    finally:
        walk.close()
