"""What every implementation of `proctor.ports.ledger.Ledger` has to keep: the life of steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from proctor.core.errors import StaleClaim
from proctor.core.run import Attempt, Step, StepKind, StepState
from proctor.ports.ledger import DONE, FAILED, GIVEN_BACK, Claim, Ledger, Transaction
from proctor.testing.fake_clock import FakeClock

LEASE = 60.0
YEAR = 365 * 86_400.0


def asked(
    clock: FakeClock,
    *,
    kind: StepKind = StepKind.CHECK,
    subject: str = "k1",
    delay: float = 0.0,
    lock: str = "",
) -> Step:
    """A fresh step, due `delay` seconds from now."""
    return Step(clock.new_id(), kind, subject, "eval", clock.now() + delay, lock)


def added(ledger: Ledger, step: Step) -> Step:
    """The step that stands after asking for `step`."""
    with ledger.transaction() as tx:
        return tx.add_step(step)


def claimed(ledger: Ledger, step: Step, worker: str = "w1") -> Claim:
    """A claim that must be had."""
    claim = ledger.claim(step.id, worker, LEASE)
    assert claim is not None
    return claim


def read(ledger: Ledger, step: Step) -> Step:
    """The step as it is now."""
    with ledger.view() as view:
        found = view.step(step.id)
    assert found is not None
    return found


def tries(ledger: Ledger, step: Step) -> list[Attempt]:
    """The attempts on record."""
    with ledger.view() as view:
        return list(view.attempts(step.kind, step.subject))


LATER_WRITES: dict[str, Callable[[Transaction, Claim], object]] = {
    "fence": lambda tx, claim: tx.fence(claim),
    "finish": lambda tx, claim: tx.finish(claim),
    "give_back": lambda tx, claim: tx.give_back(claim, 0.0, "late", counts=True),
    "fail": lambda tx, claim: tx.fail(claim, "late"),
}


class StepContract:
    """Tests of steps. Part of `LedgerContract`."""

    @pytest.fixture
    def clock(self) -> FakeClock:
        """The ledger's clock."""
        return FakeClock()

    @pytest.fixture
    def ledger(self, clock: FakeClock) -> Ledger:
        """An empty ledger for each test."""
        raise NotImplementedError("override the fixture `ledger`")

    def test_a_claim_holds_the_step(self, ledger: Ledger, clock: FakeClock) -> None:
        step = asked(clock)
        assert added(ledger, step) == step
        claim = claimed(ledger, step)
        running = replace(
            step,
            state=StepState.RUNNING,
            attempts=1,
            fence=1,
            worker="w1",
            lease_until=clock.now() + LEASE,
        )
        assert claim == Claim(running, "w1")
        assert read(ledger, step) == running
        assert ledger.claim(step.id, "w2", LEASE) is None
        assert ledger.claim("nope", "w2", LEASE) is None
        with ledger.view() as view:
            assert list(view.open_steps()) == [running]
        clock.advance(5)
        with ledger.transaction() as tx:
            tx.fence(claim)
            assert tx.finish(claim) is None
        assert read(ledger, step).state is StepState.DONE
        assert tries(ledger, step) == [
            Attempt(
                step.id,
                1,
                step.kind,
                step.subject,
                "w1",
                clock.now() - 5,
                ended_at=clock.now(),
                outcome="done",
            )
        ]
        with ledger.view() as view:
            assert not view.open_steps()

    def test_not_before_it_is_due(self, ledger: Ledger, clock: FakeClock) -> None:
        step = added(ledger, asked(clock, delay=10))
        assert ledger.claim(step.id, "w1", LEASE) is None
        assert not ledger.due(clock.now())
        clock.advance(10)
        assert list(ledger.due(clock.now())) == [step]
        claimed(ledger, step)
        assert not ledger.due(clock.now())

    def test_due_is_oldest_first(self, ledger: Ledger, clock: FakeClock) -> None:
        steps = [added(ledger, asked(clock, subject=f"k{d}", delay=d)) for d in (3, 1, 2)]
        clock.advance(5)
        in_order = [steps[1], steps[2], steps[0]]
        assert list(ledger.due(clock.now())) == in_order
        assert list(ledger.due(clock.now(), limit=2)) == in_order[:2]
        with ledger.view() as view:
            assert list(view.open_steps()) == in_order

    def test_asking_twice_is_one_step(self, ledger: Ledger, clock: FakeClock) -> None:
        step = added(ledger, asked(clock, delay=10))
        assert added(ledger, asked(clock, delay=20)) == step
        sooner = added(ledger, asked(clock, delay=5))
        assert sooner == replace(step, due_at=clock.now() + 5)
        assert read(ledger, step) == sooner
        assert added(ledger, asked(clock, subject="k2")).id != step.id
        assert added(ledger, asked(clock, kind=StepKind.PLAN)).id != step.id
        with pytest.raises(ValueError):
            added(ledger, replace(step, subject="k3"))

    def test_asked_again_while_running(self, ledger: Ledger, clock: FakeClock) -> None:
        step = added(ledger, asked(clock))
        first = claimed(ledger, step)
        for delay in (9.0, 7.0, 8.0):
            assert added(ledger, asked(clock, delay=delay)) == first.step
        with ledger.transaction() as tx:
            ready = tx.finish(first)
        assert ready == replace(step, fence=1, due_at=clock.now() + 7)
        assert read(ledger, step) == ready
        clock.advance(7)
        second = claimed(ledger, step)
        assert (second.step.fence, second.step.attempts) == (2, 1)
        with ledger.transaction() as tx:
            assert tx.finish(second) is None
        assert [a.outcome for a in tries(ledger, step)] == [DONE, DONE]
        fresh = added(ledger, asked(clock))
        assert fresh.id != step.id

    def test_given_back(self, ledger: Ledger, clock: FakeClock) -> None:
        step = added(ledger, asked(clock))
        claim = claimed(ledger, step)
        with ledger.transaction() as tx:
            tx.give_back(claim, clock.now() + 30, "the Hub is down", counts=True)
        back = replace(step, due_at=clock.now() + 30, attempts=1, fence=1, error="the Hub is down")
        assert read(ledger, step) == back
        clock.advance(30)
        claim = claimed(ledger, step)
        assert (claim.step.attempts, claim.step.fence) == (2, 2)
        with ledger.transaction() as tx:
            tx.give_back(claim, clock.now(), None, counts=False)
        assert read(ledger, step).attempts == 1
        outcomes = [a.outcome for a in tries(ledger, step)]
        assert outcomes[0] == f"{GIVEN_BACK}the Hub is down"
        assert outcomes[1] is not None
        assert not outcomes[1].startswith(GIVEN_BACK)

    def test_given_back_is_due_when_asked_again(self, ledger: Ledger, clock: FakeClock) -> None:
        step = added(ledger, asked(clock))
        claim = claimed(ledger, step)
        added(ledger, asked(clock, delay=3))
        with ledger.transaction() as tx:
            tx.give_back(claim, clock.now() + 30, "later", counts=True)
        assert read(ledger, step).due_at == clock.now() + 3

    def test_failed(self, ledger: Ledger, clock: FakeClock) -> None:
        step = added(ledger, asked(clock))
        claim = claimed(ledger, step)
        with ledger.transaction() as tx:
            tx.fail(claim, "no such repo")
        failed = read(ledger, step)
        assert (failed.state, failed.error) == (StepState.FAILED, "no such repo")
        assert ledger.claim(step.id, "w2", LEASE) is None
        assert tries(ledger, step)[0].outcome == f"{FAILED}no such repo"

    def test_failed_but_asked_again(self, ledger: Ledger, clock: FakeClock) -> None:
        step = added(ledger, asked(clock, lock="one"))
        claim = claimed(ledger, step)
        added(ledger, asked(clock, delay=4))
        with ledger.transaction() as tx:
            tx.fail(claim, "broken")
        assert read(ledger, step).state is StepState.FAILED
        with ledger.view() as view:
            (fresh,) = view.open_steps()
        assert fresh == replace(step, id=fresh.id, due_at=clock.now() + 4)

    def test_cancelled(self, ledger: Ledger, clock: FakeClock) -> None:
        ready = added(ledger, asked(clock, subject="ready"))
        running = added(ledger, asked(clock, subject="running"))
        claim = claimed(ledger, running)
        added(ledger, asked(clock, subject="running"))
        for step in (ready, running):
            with ledger.transaction() as tx:
                assert tx.cancel_steps(step.kind, step.subject, "superseded") == 1
                assert tx.cancel_steps(step.kind, step.subject, "superseded") == 0
            ended = read(ledger, step)
            assert ended.state in (StepState.DONE, StepState.FAILED)
            assert ended.error == "superseded"
            assert ledger.claim(step.id, "w2", LEASE) is None
        assert read(ledger, running).fence > claim.step.fence
        assert not ledger.renew(claim, LEASE)
        assert "superseded" in (tries(ledger, running)[0].outcome or "")
        with ledger.view() as view:
            assert not view.open_steps()

    def test_lease(self, ledger: Ledger, clock: FakeClock) -> None:
        step = added(ledger, asked(clock))
        claim = claimed(ledger, step)
        clock.advance(LEASE - 1)
        assert not ledger.expired(clock.now())
        assert ledger.renew(claim, LEASE)
        clock.advance(LEASE - 1)
        assert not ledger.expired(clock.now())
        clock.advance(2)
        (late,) = ledger.expired(clock.now())
        assert late == replace(claim.step, lease_until=clock.now() - 1)
        assert ledger.reclaim(late)
        assert not ledger.reclaim(late)
        back = read(ledger, step)
        assert (back.state, back.worker, back.attempts) == (StepState.READY, None, 1)
        (attempt,) = tries(ledger, step)
        assert (attempt.outcome, attempt.ended_at) == ("lease expired", clock.now())
        assert not ledger.renew(claim, LEASE)
        again = claimed(ledger, step, "w2")
        assert (again.step.attempts, again.step.fence) == (2, 2)
        assert not ledger.renew(claim, LEASE)
        assert not ledger.reclaim(late)

    def test_a_renewal_beats_the_reclaim(self, ledger: Ledger, clock: FakeClock) -> None:
        claim = claimed(ledger, added(ledger, asked(clock)))
        clock.advance(LEASE + 1)
        (late,) = ledger.expired(clock.now())
        assert ledger.renew(claim, LEASE)
        assert not ledger.reclaim(late)
        with ledger.transaction() as tx:
            tx.finish(claim)

    @pytest.mark.parametrize("write", list(LATER_WRITES))
    @pytest.mark.parametrize("lost", ["reclaimed", "claimed by another", "cancelled", "finished"])
    def test_a_stale_claim_writes_nothing(
        self, ledger: Ledger, clock: FakeClock, lost: str, write: str
    ) -> None:
        step = added(ledger, asked(clock))
        claim = claimed(ledger, step)
        if lost in ("reclaimed", "claimed by another"):
            clock.advance(LEASE + 1)
            assert ledger.reclaim(ledger.expired(clock.now())[0])
        if lost == "claimed by another":
            claimed(ledger, step, "w2")
        with ledger.transaction() as tx:
            if lost == "cancelled":
                tx.cancel_steps(step.kind, step.subject, "no longer wanted")
            if lost == "finished":
                tx.finish(claim)
        before, on_record = read(ledger, step), tries(ledger, step)
        with pytest.raises(StaleClaim), ledger.transaction() as tx:
            LATER_WRITES[write](tx, claim)
        assert not ledger.renew(claim, LEASE)
        assert read(ledger, step) == before
        assert tries(ledger, step) == on_record

    def test_one_lock_one_runner(self, ledger: Ledger, clock: FakeClock) -> None:
        one = added(ledger, asked(clock, subject="k1", lock="same"))
        two = added(ledger, asked(clock, subject="k2", lock="same"))
        free = [added(ledger, asked(clock, subject=f"f{n}")) for n in range(2)]
        claim = claimed(ledger, one)
        assert ledger.claim(two.id, "w2", LEASE) is None
        assert (read(ledger, two).attempts, read(ledger, two).fence) == (0, 0)
        for step in free:
            claimed(ledger, step)
        with ledger.transaction() as tx:
            tx.finish(claim)
        claimed(ledger, two, "w2")

    def test_a_lock_outlasts_the_cancelling_of_its_runner(
        self, ledger: Ledger, clock: FakeClock
    ) -> None:
        one = added(ledger, asked(clock, subject="k1", lock="same"))
        two = added(ledger, asked(clock, subject="k2", lock="same"))
        claimed(ledger, one)
        with ledger.transaction() as tx:
            tx.cancel_steps(one.kind, one.subject, "superseded")
        clock.advance(LEASE - 1)  # its worker may not have noticed yet
        assert ledger.claim(two.id, "w2", LEASE) is None
        clock.advance(2)
        claimed(ledger, two, "w2")

    def test_a_lock_does_not_outlast_a_runner_whose_clock_was_wrong(
        self, ledger: Ledger, clock: FakeClock
    ) -> None:
        one = added(ledger, asked(clock, subject="k1", lock="same"))
        two = added(ledger, asked(clock, subject="k2", lock="same"))
        clock.jump(YEAR)
        claimed(ledger, one)
        clock.jump(-YEAR)
        assert ledger.claim(two.id, "w2", LEASE) is None  # it may be alive
        with ledger.transaction() as tx:
            tx.cancel_steps(one.kind, one.subject, "superseded")
        claimed(ledger, two, "w2")
