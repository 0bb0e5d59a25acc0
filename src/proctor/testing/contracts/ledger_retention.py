"""What every implementation of `proctor.ports.ledger.Archive` has to keep."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from proctor.ports.ledger import Archive, Forgotten, Ledger
from proctor.testing.contracts.ledger_bulk import BulkContract
from proctor.testing.contracts.ledger_samples import T0, a_delivery


class Whole(Ledger, Archive, Protocol):
    """A ledger that can forget."""


class RetentionContract(BulkContract):
    """Tests of forgetting. Part of `LedgerContract`."""

    def test_old_bodies_are_emptied_and_all_else_stays(self, ledger: Whole) -> None:
        before = [a_delivery(f"d{n}", received_at=T0 + n) for n in range(5)]
        with ledger.transaction() as tx:
            tx.add_deliveries(before)
        forgotten = ledger.forget_bodies(T0 + 3)
        assert (forgotten.emptied, forgotten.more) == (3, True)
        with ledger.view() as view:
            after = list(view.deliveries())[::-1]
        assert after == [replace(d, body=b"") for d in before[:3]] + before[3:]
        again = ledger.forget_bodies(T0 + 3, forgotten.settled)
        assert (again.emptied, again.more) == (0, False)
        assert ledger.forget_bodies(T0 + 4, again.settled).emptied == 1

    def test_nothing_is_there_to_be_forgotten(self, ledger: Whole) -> None:
        assert ledger.forget_bodies(T0, 7) == Forgotten(0, 7, 7, more=False)

    def test_many_and_large_bodies_take_turns(self, ledger: Whole) -> None:
        many = [a_delivery(f"d{n}") for n in range(450)]
        large = [replace(a_delivery(f"e{n}"), body=b"x" * 400_000) for n in range(6)]
        with ledger.transaction() as tx:
            tx.add_deliveries([*many, *large])
        assert _turns(ledger) == [200, 200, 50 + 2, 2, 2, 0]
        with ledger.view() as view:
            assert {d.body for d in view.deliveries(limit=1000)} == {b""}

    def test_a_clock_that_jumped_hides_nothing(self, ledger: Whole) -> None:
        times = [T0, T0 + 9e9, T0 + 1]
        with ledger.transaction() as tx:
            tx.add_deliveries([a_delivery(f"d{n}", received_at=at) for n, at in enumerate(times)])
        first = ledger.forget_bodies(T0 + 5)
        assert first.emptied == 2
        assert first.settled < first.upto  # the one of the future is looked at again


def _turns(ledger: Archive) -> list[int]:
    turns, after, more = [], 0, True
    while more:
        done = ledger.forget_bodies(T0 + 1, after)
        turns.append(done.emptied)
        after, more = done.upto, done.more
    return turns
