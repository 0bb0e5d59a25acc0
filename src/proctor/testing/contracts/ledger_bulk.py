"""What every implementation of `proctor.ports.ledger.Ledger` has to keep: bulk writes.

They mean what the single writes mean, in order; so most of these tests do both and compare.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from proctor.core.event import Disposition, Event, RefUpdate
from proctor.core.record import RefChange
from proctor.core.run import RunStatus, StepState
from proctor.ports.ledger import Ledger
from proctor.testing.contracts.ledger_samples import (
    HOSTILE,
    MAIN,
    NEW,
    OLD,
    T0,
    a_check,
    a_delivery,
    a_promotion,
    a_run,
    an_event,
)
from proctor.testing.contracts.ledger_steps import StepContract, added, asked, claimed, read
from proctor.testing.fake_clock import FakeClock


class BulkContract(StepContract):
    """Tests of bulk writes. Part of `LedgerContract`."""

    def test_many_deliveries_come_back_as_they_went(self, ledger: Ledger) -> None:
        many = [
            replace(
                a_delivery(f"d{n}", received_at=T0 + n),
                event_id=None if n % 3 else "e1",
                webhook_id=None if n % 2 else f"w{n}",
                headers=(("a", "1"), ("b", 'q"\\')) if n % 2 else (),
                body=bytes(range(256)) if n else b"",
            )
            for n in range(200)
        ]
        with ledger.transaction() as tx:
            tx.add_deliveries(many)
            tx.add_deliveries([])
        with ledger.view() as view:
            assert list(view.deliveries(limit=1000)) == many[::-1]

    def test_a_delivery_is_not_added_twice(self, ledger: Ledger) -> None:
        one, two, three = (a_delivery(each) for each in ("d1", "d2", "d3"))
        with ledger.transaction() as tx:
            tx.add_deliveries([one])
        for refused in ([two, one], [two, two]):
            with pytest.raises(ValueError), ledger.transaction() as tx:
                tx.add_deliveries(refused)
        with ledger.transaction() as tx:
            tx.add_deliveries([three])
        with ledger.view() as view:
            assert {d.id for d in view.deliveries()} == {"d1", "d3"}

    def test_each_identity_is_one_event(self, ledger: Ledger) -> None:
        told = [("e1", "a"), ("e2", "b"), ("e3", "a"), ("e4", "c"), ("e5", "c")]
        with ledger.transaction() as tx:
            assert tx.add_event(an_event("e0", identity="b"))
        with ledger.transaction() as tx:
            found = tx.add_events([an_event(each, identity=identity) for each, identity in told])
            assert found == {"a": "e1", "b": "e0", "c": "e4"}
            assert tx.add_events([]) == {}
        with ledger.transaction() as tx:
            again = tx.add_events([an_event("e6", identity="c"), an_event("e7", identity="d")])
            assert again == {"c": "e4", "d": "e7"}
            assert not tx.add_event(an_event("e8", identity="d"))
        with ledger.view() as view:
            assert [e.id for e in view.events()] == ["e7", "e4", "e1", "e0"]
            found_event = view.event_by_identity("c")
        assert found_event is not None
        assert found_event.id == "e4"

    def test_many_events_come_back_as_they_went(self, ledger: Ledger) -> None:
        moves = (RefUpdate("refs/heads/main", OLD, NEW), RefUpdate("refs/tags/x", None, NEW))
        many = [
            replace(
                an_event(f"e{n}", identity=f"i{n}", hub_id=f"r{n % 3}"),
                updates=moves if n % 2 else (),
                head=NEW if n % 2 else None,
                received_at=T0 + n / 7,
            )
            for n in range(200)
        ]
        with ledger.transaction() as tx:
            assert tx.add_events(many) == {e.identity: e.id for e in many}
        with ledger.view() as view:
            assert list(view.events(limit=1000)) == many[::-1]
            assert list(view.pending_events("r1")) == many[1::3]

    def test_an_event_id_is_not_taken_over(self, ledger: Ledger) -> None:
        with ledger.transaction() as tx:
            tx.add_events([an_event("e1", identity="a")])
        refused = [an_event("e2", identity="b"), an_event("e1", identity="c")]
        with pytest.raises(ValueError), ledger.transaction() as tx:
            tx.add_events(refused)
        with ledger.view() as view:
            assert [e.id for e in view.events()] == ["e1"]

    def test_what_is_rolled_back_is_not_there(self, ledger: Ledger, clock: FakeClock) -> None:
        with pytest.raises(RuntimeError), ledger.transaction() as tx:
            tx.add_steps([asked(clock)])
            tx.add_events([an_event()])
            tx.add_deliveries([a_delivery()])
            raise RuntimeError
        with ledger.view() as view:
            assert (view.events(), view.deliveries(), view.open_steps()) == ((), (), ())

    @pytest.mark.parametrize("text", HOSTILE, ids=[f"{n}" for n in range(len(HOSTILE))])
    def test_any_string_comes_back_from_a_bulk(
        self, ledger: Ledger, clock: FakeClock, text: str
    ) -> None:
        subject = "x" + text[:500]
        event: Event = replace(
            an_event(identity=text),
            reason=text,
            repo_name=text,
            updates=(RefUpdate(text, OLD, NEW),),
        )
        delivery = replace(a_delivery(), reason=text, webhook_id=text, headers=((text, text),))
        step = asked(clock, subject=subject)
        with ledger.transaction() as tx:
            assert tx.add_steps([step]) == [step]
            assert tx.add_steps([asked(clock, subject=subject)]) == [step]
            assert tx.add_events([event, replace(event, id="e2")]) == {text: "e1"}
            tx.add_deliveries([delivery])
        with ledger.view() as view:
            assert view.delivery("d1") == delivery
            assert view.event_by_identity(text) == event
        assert read(ledger, step) == step

    @pytest.mark.parametrize("bulk", [True, False], ids=["bulk", "single"])
    @pytest.mark.parametrize("delay", [-5.0, 0.0, 5.0])
    def test_steps_are_asked_for_in_bulk_as_one_by_one(
        self, ledger: Ledger, clock: FakeClock, delay: float, bulk: bool
    ) -> None:
        ready, running = asked(clock, subject="ready"), asked(clock, subject="running")
        done, told = asked(clock, subject="done"), asked(clock, subject="told")
        for step in (ready, running, done, told):
            added(ledger, step)
        claim = claimed(ledger, running)
        told_claim = claimed(ledger, told)
        added(ledger, asked(clock, subject="told", delay=1))
        with ledger.transaction() as tx:
            tx.cancel_steps(done.kind, done.subject, "no longer wanted")
        subjects = ["new", "told", "done", "running", "ready", "new"]
        asks = [asked(clock, subject=s, delay=delay) for s in subjects]
        with ledger.transaction() as tx:
            stand = list(tx.add_steps(asks)) if bulk else [tx.add_step(ask) for ask in asks]
        due = min(ready.due_at, ready.due_at + delay)
        assert [s.id for s in stand] == [
            asks[0].id,
            told.id,
            asks[2].id,
            running.id,
            ready.id,
            asks[0].id,
        ]
        assert stand[4] == replace(ready, due_at=due) == read(ledger, ready)
        assert stand[0] == asks[0]
        assert stand[3] == claim.step
        with ledger.transaction() as tx:
            again, once_more = tx.finish(claim), tx.finish(told_claim)
        assert again is not None
        assert once_more is not None
        assert (again.state, again.due_at) == (StepState.READY, clock.now() + delay)
        assert once_more.due_at == clock.now() + min(1, delay)

    def test_only_ready_steps_are_asked_for(self, ledger: Ledger, clock: FakeClock) -> None:
        running = replace(asked(clock), state=StepState.RUNNING)
        with pytest.raises(ValueError), ledger.transaction() as tx:
            tx.add_steps([running])
        with ledger.transaction() as tx:
            assert list(tx.add_steps([])) == []

    def test_records_are_added_together(self, ledger: Ledger) -> None:
        run, other = a_run(), a_run("run-2", number=2)
        checks = [replace(a_check(), id=f"k{n}", name=f"c{n}") for n in range(3)]
        refs = [
            RefChange("c1", "r1", MAIN, None, OLD, T0),
            RefChange("c2", "r1", "refs/tags/prod", None, OLD, T0),
            RefChange("c3", "r1", MAIN, OLD, NEW, T0),
            RefChange("c4", "r1", "refs/tags/prod", OLD, None, T0),
        ]
        with ledger.transaction() as tx:
            tx.add_all([run, *checks, *refs, other])
            tx.add_all([])
        with ledger.view() as view:
            assert {r.id for r in view.runs()} == {run.id, other.id}
            assert list(view.checks(run.id)) == checks
            assert [c.id for c in view.ref_changes("r1")] == ["c4", "c3", "c2", "c1"]
            assert view.refs_seen("r1") == {MAIN: NEW}
        for refused in ([a_run("run-3", number=3), run], [a_run("run-3", number=2)]):
            with pytest.raises(ValueError), ledger.transaction() as tx:
                tx.add_all(refused)
        with ledger.view() as view:
            assert view.run("run-3") is None

    def test_records_are_saved_together(self, ledger: Ledger) -> None:
        events = [an_event(f"e{n}", identity=f"i{n}") for n in range(50)]
        held = replace(a_run("run-2", number=2), status=RunStatus.HELD)
        with ledger.transaction() as tx:
            tx.add_all([*events, a_run(), held])
        ran = [replace(e, disposition=Disposition.RAN, reason=e.id) for e in events]
        ended = replace(a_run(), status=RunStatus.HELD, reason="because")
        with ledger.transaction() as tx:
            tx.save_all([ended, *ran, replace(held, reason="said otherwise")])
            tx.save_all([])
        with ledger.view() as view:
            assert list(view.events()) == ran[::-1]
            assert view.run(ended.id) == ended
            assert view.run(held.id) == replace(held, reason="said otherwise")
        again = replace(held, status=RunStatus.CHECKING)
        for refused, error in (
            ([ended, again], ValueError),
            ([ended, replace(held, number=ended.number)], ValueError),
            ([*ran, an_event("nope", identity="nope")], KeyError),
        ):
            with pytest.raises(error), ledger.transaction() as tx:
                tx.save_all(refused)
        with ledger.view() as view:
            assert view.run(held.id) == replace(held, reason="said otherwise")

    def test_what_is_unique_changes_where_it_is_free(self, ledger: Ledger) -> None:
        event, promotion = an_event(), a_promotion()
        with ledger.transaction() as tx:
            tx.add_all([event, promotion])
        moved = replace(promotion, release="prod-9")
        renamed = replace(event, identity="another")
        with ledger.transaction() as tx:
            tx.save_all([moved, renamed])
        with ledger.view() as view:
            assert view.promotion(promotion.id) == moved
            assert view.event_by_identity("another") == renamed
            assert view.event_by_identity(event.identity) is None
