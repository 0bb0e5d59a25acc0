"""What every implementation of `proctor.ports.ledger.Ledger` has to keep: records and reads.

The life of steps is in `ledger_steps`, bulk writes in `ledger_bulk`, forgetting in
`ledger_retention`, deliveries and events in `ledger_intake`; `LedgerContract` is all.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NoReturn

import pytest

from proctor.core.names import Repo, RepoType
from proctor.core.notice import Notice, Severity
from proctor.core.promotion import PromotionStatus
from proctor.core.record import KnownRepo, OutboxNotice, OutboxState, RefChange, StageHead
from proctor.core.run import CheckStatus, RunStatus
from proctor.ports.ledger import Ledger, Record
from proctor.testing.contracts.ledger_intake import IntakeContract
from proctor.testing.contracts.ledger_samples import (
    HOSTILE,
    MAIN,
    NEW,
    OLD,
    REPO,
    T0,
    a_check,
    a_delivery,
    a_hold,
    a_promotion,
    a_run,
    a_verdict,
    an_entry,
    an_event,
    an_evidence,
    an_operation,
)
from proctor.testing.contracts.ledger_steps import asked
from proctor.testing.fake_clock import FakeClock


class LedgerContract(IntakeContract):
    """Subclass as `class TestMyLedger(LedgerContract)` and override the fixture `ledger`: empty,
    and on the clock of the fixture `clock`."""

    def test_repos_are_put_by_hub_id(self, ledger: Ledger) -> None:
        known = KnownRepo(REPO, T0, T0)
        data = KnownRepo(Repo("h0", RepoType.DATASET, "acme/bot", private=True), T0, T0 + 1)
        renamed = replace(known, repo=replace(REPO, name="acme/zed"), seen_at=T0 + 9.25)
        with ledger.transaction() as tx:
            for repo in (known, data, renamed):
                tx.put_repo(repo)
        with ledger.view() as view:
            assert view.known_repo(REPO.hub_id) == renamed
            assert view.known_repo("nope") is None
            assert list(view.known_repos()) == [data, renamed]
            assert list(view.repos_named("acme/bot")) == [data]
            assert list(view.repos_named("acme/zed", RepoType.MODEL)) == [renamed]
            assert not view.repos_named("acme/zed", RepoType.SPACE)

    def test_refs_seen_add_up(self, ledger: Ledger) -> None:
        changes = [
            RefChange("c1", "r1", MAIN, None, OLD, T0),
            RefChange("c2", "r1", "refs/tags/prod", None, OLD, T0),
            RefChange("c3", "r1", MAIN, OLD, NEW, T0 + 1),
            RefChange("c4", "r1", "refs/tags/prod", OLD, None, T0 + 2),
            RefChange("c5", "r2", MAIN, None, OLD, T0 + 2),
        ]
        with ledger.transaction() as tx:
            for change in changes[:-1]:
                tx.put_ref(change)
            tx.add(changes[-1])
        with ledger.view() as view:
            assert view.refs_seen("r1") == {MAIN: NEW}
            assert view.refs_seen("r2") == {MAIN: OLD}
            assert view.seen_at(MAIN) == {"r1": NEW, "r2": OLD}
            assert view.seen_at("refs/heads/other") == {}
            assert [c.id for c in view.ref_changes("r1")] == ["c4", "c3", "c2", "c1"]
            assert list(view.ref_changes("r1", limit=1)) == [changes[3]]
        with ledger.transaction() as tx:
            tx.save(replace(changes[2], new=None))
            assert tx.refs_seen("r1") == {}

    def test_entries_are_put_by_repo_and_revision(self, ledger: Ledger) -> None:
        first, second = an_entry(OLD, T0), an_entry(NEW, T0 + 1)
        with ledger.transaction() as tx:
            tx.put_entry(second)
            tx.put_entry(replace(first, synced_at=1.0))
            tx.put_entry(first)
        with ledger.view() as view:
            assert view.entry("r1", OLD) == first
            assert view.entry("r2", OLD) is None
            assert view.described("r1", OLD)
            assert not view.described("r2", OLD)
            assert list(view.entries("r1")) == [second, first]
            assert list(view.entries("r1", limit=1)) == [second]

    def test_runs_are_unique_and_found(self, ledger: Ledger) -> None:
        first = a_run()
        again = replace(a_run("run-2"), number=2, again_of="run-1", created_at=T0 + 1)
        other = replace(a_run("run-3"), pipeline="other", status=RunStatus.HELD, created_at=T0 + 2)
        with ledger.transaction() as tx:
            for run in (other, first, again):
                tx.add(run)
            for taken in (a_run("run-1", number=7), a_run("run-9")):
                with pytest.raises(ValueError):
                    tx.add(taken)
            with pytest.raises(ValueError):
                tx.save(replace(again, number=1))
        with ledger.view() as view:
            assert view.run("run-1") == first
            assert view.run("nope") is None
            assert list(view.runs()) == [other, again, first]
            assert list(view.runs(limit=1)) == [other]
            assert list(view.runs(open_only=True)) == [again, first]
            assert list(view.runs(pipeline="other", hub_id="r1")) == [other]
            assert list(view.runs(status=RunStatus.HELD, revision=NEW)) == [other]
            assert not view.runs(revision=OLD)
            assert list(view.runs_at("r1", [], T0 + 60)) == [again, first]
            assert list(view.runs_at("r1", [NEW, OLD], T0 + 60)) == [other, again, first]
            assert list(view.runs_at("r1", [OLD], T0 + 59)) == [other, again, first]
            assert not view.runs_at("r2", [NEW], 0)

    def test_an_end_is_an_end(self, ledger: Ledger) -> None:
        run, promotion = a_run(), a_promotion()
        ended = replace(run, status=RunStatus.FAILED)
        done = replace(promotion, status=PromotionStatus.DONE, ended_at=T0 + 5)
        with ledger.transaction() as tx:
            for record in (run, promotion):
                tx.add(record)
            tx.save(ended)
            tx.save(done)
        with ledger.transaction() as tx:
            with pytest.raises(ValueError):
                tx.save(replace(run, status=RunStatus.PROMOTED))
            with pytest.raises(ValueError):
                tx.save(promotion)
            tx.save(replace(ended, reason="why, in other words"))
        with ledger.view() as view:
            assert view.run("run-1") == replace(ended, reason="why, in other words")
            assert view.promotion("p1") == done

    def test_save_wants_what_is_there(self, ledger: Ledger) -> None:
        absent: tuple[Record, ...] = (
            a_run(),
            a_check(),
            a_promotion(),
            an_event(),
            a_hold(),
            an_operation(),
            a_verdict(),
            RefChange("c1", "r1", MAIN, None, OLD, T0),
            OutboxNotice("o1", "team", Notice("k", "run.held", Severity.INFO, "t", "x"), T0),
        )
        with ledger.transaction() as tx:
            for record in absent:
                with pytest.raises(KeyError):
                    tx.save(record)

    def test_checks_evidence_and_verdicts(self, ledger: Ledger) -> None:
        done = replace(a_check(), status=CheckStatus.DONE, evidence_id="ev1")
        later = replace(a_verdict("v2"), judged_at=T0 + 3)
        with ledger.transaction() as tx:
            tx.add(a_run())
            tx.add(a_check())
            tx.add(a_check("k2", name="full"))
            tx.add_evidence(an_evidence())
            with pytest.raises(ValueError):
                tx.add_evidence(an_evidence())
            tx.save(done)
            tx.add(later)
            tx.add(a_verdict())
        with ledger.view() as view:
            assert list(view.checks("run-1")) == [done, a_check("k2", name="full")]
            assert view.check("k1") == done
            assert view.evidence("ev1") == an_evidence()
            assert view.evidence("nope") is None
            assert view.outcomes("run-1") == {"smoke": an_evidence().outcome}
            assert view.outcomes("nope") == {}
            assert view.verdict("run-1") == later
            assert view.verdict("nope") is None
            assert list(view.verdicts_of("r1", NEW)) == [later, a_verdict()]
            assert not view.verdicts_of("r1", OLD)

    def test_promotions_and_their_journal(self, ledger: Ledger) -> None:
        first = a_promotion()
        second = replace(a_promotion("p2", release=""), stage="staging", created_at=T0 + 1)
        plain = replace(a_promotion("p3", release=""), status=PromotionStatus.HELD)
        with ledger.transaction() as tx:
            for record in (first, second, plain, an_operation(), an_operation("o2", event_id="e")):
                tx.add(record)
            with pytest.raises(ValueError):
                tx.add(a_promotion("p4"))
            tx.add(replace(a_promotion("p5"), hub_id="r2", created_at=T0 - 1))
        with ledger.view() as view:
            assert view.promotion("p1") == first
            assert [p.id for p in view.promotions()] == ["p2", "p3", "p1", "p5"]
            assert list(view.promotions(hub_id="r1", stage="staging")) == [second]
            assert [p.id for p in view.promotions(hub_id="r1", open_only=True)] == ["p2", "p1"]
            assert [p.id for p in view.promotions(run_id="run-1", limit=1)] == ["p2"]
            assert [o.id for o in view.operations("p1")] == ["o1", "o2"]
            assert list(view.unmatched_operations("r1")) == [an_operation()]
            assert list(view.unechoed(T0 - 1, T0)) == [an_operation()]
            assert not view.unechoed(T0, T0 + 1)
            assert not view.unechoed(T0 - 2, T0 - 1)

    def test_an_operation_that_was_not_made_leaves_the_journal(self, ledger: Ledger) -> None:
        with ledger.transaction() as tx:
            for record in (a_promotion(), an_operation(), an_operation("o2")):
                tx.add(record)
            tx.drop_operation("o1")
            tx.drop_operation("o1")
            assert [o.id for o in tx.operations("p1")] == ["o2"]
        with ledger.view() as view:
            assert [o.id for o in view.unmatched_operations("r1")] == ["o2"]

    def test_next_release_counts(self, ledger: Ledger) -> None:
        with ledger.transaction() as tx:
            assert tx.next_release("r1", "prod") == 1
            for n, release in enumerate(["prod-2", "prod-10", "prod-x-77", "prodx-99", ""]):
                tx.add(a_promotion(f"p{n}", release=release))
            assert tx.next_release("r1", "prod") == 11
            assert tx.next_release("r1", "prod-x") == 78
            assert tx.next_release("r2", "prod") == 1

    def test_stage_heads_are_put_and_dropped(self, ledger: Ledger) -> None:
        head = StageHead("r1", "prod", OLD, T0, None)
        moved = replace(head, revision=NEW, since=T0 + 1, promotion_id="p1")
        other = StageHead("r2", "prod", OLD, T0, None)
        with ledger.transaction() as tx:
            for each in (head, moved, other):
                tx.put_stage_head(each)
        with ledger.view() as view:
            assert view.stage_head("r1", "prod") == moved
            assert list(view.stage_heads()) == [other, moved]
            assert list(view.stage_heads("r1")) == [moved]
        with ledger.transaction() as tx:
            tx.drop_stage_head("r1", "prod")
            tx.drop_stage_head("r1", "prod")
            assert tx.stage_head("r1", "prod") is None

    def test_holds_until_released(self, ledger: Ledger) -> None:
        released = replace(a_hold(), released_at=T0 + 1)
        other = replace(a_hold("h2"), hub_id="r2", since=T0 - 1)
        with ledger.transaction() as tx:
            tx.add(a_hold())
            tx.add(other)
            assert list(tx.holds()) == [other, a_hold()]
            tx.save(released)
        with ledger.view() as view:
            assert list(view.holds()) == [other]
            assert list(view.holds(hub_id="r1")) == []
            assert list(view.holds(hub_id="r1", in_force=False)) == [released]

    def test_notices_once_for_each_key_and_channel(self, ledger: Ledger) -> None:
        said = Notice("k", "run.held", Severity.FAILURE, "t", "x", (("repo", "acme/bot"),), "http:")
        one, two = OutboxNotice("o1", "team", said, T0), OutboxNotice("o2", "boss", said, T0)
        sent = replace(one, state=OutboxState.SENT, sent_at=T0 + 1)
        with ledger.transaction() as tx:
            tx.add(one)
            tx.add(two)
            with pytest.raises(ValueError):
                tx.add(OutboxNotice("o3", "team", said, T0))
            tx.save(sent)
        with ledger.view() as view:
            assert view.notice("o1") == sent
            assert list(view.notices()) == [two, sent]
            assert list(view.notices(limit=1)) == [two]

    @pytest.mark.parametrize("text", HOSTILE, ids=[f"{n}" for n in range(len(HOSTILE))])
    def test_any_string_comes_back(self, ledger: Ledger, text: str) -> None:
        event = replace(
            an_event(identity=text), reason=text, repo_name=text, hub_id="x" + text[:500]
        )
        delivery = replace(a_delivery(), reason=text, webhook_id=text, headers=((text, text),))
        run = replace(a_run(), repo_name=text, reason=text)
        check = replace(a_check(), parameters={text: [text, {"deep": text}]})
        evidence = an_evidence(text)
        entry = an_entry(NEW, T0, text)
        ref = RefChange("c1", "r1", text, None, NEW, T0)
        with ledger.transaction() as tx:
            tx.add_deliveries([delivery])
            assert tx.add_event(event)
            assert not tx.add_event(replace(event, id="e2"))
            tx.add(run)
            tx.add(check)
            tx.add_evidence(evidence)
            tx.put_entry(entry)
            tx.put_ref(ref)
        with ledger.view() as view:
            assert view.delivery("d1") == delivery
            assert view.event_by_identity(text) == event
            assert list(view.pending_events("x" + text[:500])) == [event]
            assert view.run("run-1") == run
            assert view.check("k1") == check
            assert view.evidence("ev1") == evidence
            assert view.entry("r1", NEW) == entry
            assert view.refs_seen("r1") == {text: NEW}

    def test_an_exception_leaves_nothing(self, ledger: Ledger, clock: FakeClock) -> None:
        def everything_then_fail() -> NoReturn:
            with ledger.transaction() as tx:
                tx.add_deliveries([a_delivery()])
                tx.add_event(an_event())
                tx.add(a_run())
                tx.add_step(asked(clock))
                raise RuntimeError("in the middle")

        with pytest.raises(RuntimeError, match="in the middle"):
            everything_then_fail()
        with ledger.view() as view:
            assert not view.deliveries()
            assert not view.events()
            assert not view.runs()
            assert not view.open_steps()

    def test_a_view_stands_still(self, ledger: Ledger) -> None:
        with ledger.view() as view:
            assert not view.events()
            with ledger.transaction() as tx:
                tx.add_event(an_event())
            assert not view.events()
        with ledger.view() as view:
            assert view.events()

    def test_ping(self, ledger: Ledger) -> None:
        ledger.ping()
