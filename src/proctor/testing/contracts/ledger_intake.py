"""What every implementation of `proctor.ports.ledger.Ledger` has to keep: deliveries and events."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proctor.core.event import Disposition
from proctor.ports.ledger import Ledger
from proctor.testing.contracts.ledger_retention import RetentionContract
from proctor.testing.contracts.ledger_samples import T0, a_delivery, an_event


class IntakeContract(RetentionContract):
    """Tests of what came in. Part of `LedgerContract`."""

    def test_delivery_and_event_come_back_as_they_went(self, ledger: Ledger) -> None:
        with ledger.transaction() as tx:
            tx.add_deliveries([a_delivery()])
            assert tx.add_event(an_event())
        with ledger.view() as view:
            assert view.delivery("d1") == a_delivery()
            assert view.event("e1") == an_event()
            assert view.event_by_identity("sub/wh-1") == an_event()
            assert view.delivery("nope") is None
            assert view.event("nope") is None
            assert view.event_by_identity("nope") is None

    def test_same_identity_is_one_event(self, ledger: Ledger) -> None:
        with ledger.transaction() as tx:
            assert tx.add_event(an_event())
            assert not tx.add_event(an_event("e2"))
        with ledger.transaction() as tx:
            assert not tx.add_event(an_event("e3"))
            with pytest.raises(ValueError):
                tx.add_event(an_event("e1", identity="another"))
            with pytest.raises(ValueError):
                tx.add(an_event("e4"))
        with ledger.view() as view:
            assert [e.id for e in view.events()] == ["e1"]

    def test_deliveries_are_newest_first(self, ledger: Ledger) -> None:
        with ledger.transaction() as tx:
            for n in range(4):
                event_id = "e1" if n % 2 else None
                tx.add_deliveries([a_delivery(f"d{n}", received_at=T0 + n, event_id=event_id)])
        with ledger.view() as view:
            assert [d.id for d in view.deliveries()] == ["d3", "d2", "d1", "d0"]
            assert [d.id for d in view.deliveries(limit=2)] == ["d3", "d2"]
            assert [d.id for d in view.deliveries(event_id="e1")] == ["d3", "d1"]

    def test_deliveries_are_found_by_what_became_of_them(self, ledger: Ledger) -> None:
        with ledger.transaction() as tx:
            tx.add_event(replace(an_event(), disposition=Disposition.RAN))
            tx.add_event(an_event("e2", identity="other"))
            unread = replace(a_delivery(event_id=None), disposition=Disposition.QUARANTINED)
            tx.add_deliveries(
                [
                    a_delivery("d1", event_id="e1"),
                    replace(a_delivery("d2"), disposition=Disposition.DUPLICATE),
                    a_delivery("d3", event_id="e2"),
                    replace(unread, id="d4"),
                    replace(unread, id="d5"),
                ]
            )
        with ledger.view() as view:
            for disposition, ids in {
                Disposition.RAN: ["d1"],
                Disposition.DUPLICATE: ["d2"],
                Disposition.PENDING: ["d3"],
                Disposition.QUARANTINED: ["d5", "d4"],
                Disposition.ECHO: [],
            }.items():
                assert [d.id for d in view.deliveries(disposition=disposition)] == ids
            newest = view.deliveries(disposition=Disposition.QUARANTINED, limit=1)
            assert [d.id for d in newest] == ["d5"]
            assert not view.deliveries(disposition=Disposition.RAN, event_id="e2")

    def test_events_are_found_by_repo_and_disposition(self, ledger: Ledger) -> None:
        with ledger.transaction() as tx:
            for n, hub_id in enumerate(["r1", "r2", "r1", "r1"]):
                tx.add_event(an_event(f"e{n}", identity=f"i{n}", hub_id=hub_id))
            done = replace(an_event("e2", identity="i2", hub_id="r1"), run_id="run-1")
            done = replace(done, disposition=Disposition.RAN, reason="run-1")
            tx.save(done)
        with ledger.view() as view:
            assert [e.id for e in view.pending_events("r1")] == ["e0", "e3"]
            assert [e.id for e in view.events()] == ["e3", "e2", "e1", "e0"]
            assert [e.id for e in view.events(hub_id="r1", limit=2)] == ["e3", "e2"]
            assert view.events(disposition=Disposition.RAN) == (done,)
