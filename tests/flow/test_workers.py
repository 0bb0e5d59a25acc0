"""Workers die, freeze, come back too late and are told to stop; nothing is lost or done twice."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from proctor.core.errors import LedgerUnavailable
from proctor.core.names import Revision
from proctor.core.run import RunStatus, Step, StepKind, StepState
from proctor.flow.check import paced
from proctor.ports.check import Room, Subject
from proctor.testing import FakeClock

if TYPE_CHECKING:
    from tests.flow.conftest import Walkthrough

LEASE = 60.0


class Death(BaseException):
    """kill -9."""


def at_full_check(walk: Walkthrough, *, acc: float = 0.9) -> tuple[Revision, Step]:
    """A push, walked until its full check is the next step."""
    sha = walk.push(acc)
    while True:
        step = walk.until(StepKind.CHECK)
        with walk.ledger.view() as view:
            check = view.check(step.subject)
        if check is not None and check.name == "full":
            return sha, step
        walk.worker.perform(step.id)


def dies(subject: Subject, room: Room) -> None:
    raise Death


def once(act: Callable[[], None]) -> Callable[[Subject, Room], None]:
    left = [act]
    return lambda subject, room: left.pop()() if left else None


def test_another_worker_finishes_what_a_dead_one_began(walk: Walkthrough) -> None:
    sha, step = at_full_check(walk)
    walk.checks["full"].during = dies
    with pytest.raises(Death):
        walk.worker.perform(step.id)
    walk.checks["full"].during = None
    other = walk.worker_named("w2")
    assert walk.sweep.once().reclaimed == 0
    assert not other.perform(step.id)  # the lease still runs
    walk.clock.advance(LEASE)
    assert walk.sweep.once().reclaimed == 1
    walk.settle(other)
    assert walk.run(sha).status is RunStatus.PROMOTED
    with walk.ledger.view() as view:
        outcomes = [a.outcome for a in view.attempts(StepKind.CHECK, step.subject)]
    assert outcomes == ["lease expired", "done"]


def test_the_late_result_of_a_zombie_is_refused(walk: Walkthrough) -> None:
    sha, step = at_full_check(walk, acc=0.9)
    other = walk.worker_named("w2")

    def freeze() -> None:
        walk.clock.jump(LEASE + 1)  # the host slept: its own monotonic clock did not notice
        walk.sweep.once()
        walk.finds(sha, 0.1)
        assert other.perform(step.id)
        walk.finds(sha, 0.9)

    walk.checks["full"].during = once(freeze)
    assert walk.worker.perform(step.id)
    walk.settle()
    assert walk.run(sha).status is RunStatus.HELD  # the accepted result is the second's
    assert len(walk.checks["full"].measured) == 2
    with walk.ledger.view() as view:
        (full,) = [c for c in view.checks(walk.run(sha).id) if c.name == "full"]
        evidence = view.evidence(full.evidence_id or "")
    assert evidence is not None
    assert evidence.findings.metrics[0].value == 0.1


def test_a_worker_that_could_not_renew_for_long_stops_by_itself(walk: Walkthrough) -> None:
    sha, step = at_full_check(walk)
    walk.checks["full"].during = once(lambda: walk.clock.advance(LEASE * 2 / 3 + 1))
    walk.worker.perform(step.id)
    (still,) = [s for s in walk.open_steps() if s.id == step.id]
    assert still.state is StepState.RUNNING  # nothing was recorded
    walk.settle()
    assert walk.run(sha).status is RunStatus.PROMOTED


def test_a_worker_that_renews_goes_on_past_its_first_lease(walk: Walkthrough) -> None:
    sha, step = at_full_check(walk)
    renewed = threading.Event()
    worker = replace(walk.worker, heartbeat=0.01, ledger=_Renewals(walk, renewed))

    def slow() -> None:
        for _ in range(3):
            renewed.clear()
            walk.clock.advance(LEASE / 2)
            assert renewed.wait(60)
        assert walk.sweep.once().reclaimed == 0

    walk.checks["full"].during = once(slow)
    worker.perform(step.id)
    walk.settle()
    assert walk.run(sha).status is RunStatus.PROMOTED
    assert len(walk.checks["full"].measured) == 1


class _Renewals:
    """The ledger, telling of each renewal that began after the last `clear`."""

    def __init__(self, walk: Walkthrough, renewed: threading.Event) -> None:
        self._ledger, self._renewed = walk.ledger, renewed
        self.transaction, self.view = self._ledger.transaction, self._ledger.view
        self.claim, self.expired = self._ledger.claim, self._ledger.expired
        self.reclaim, self.due, self.ping = (
            self._ledger.reclaim,
            self._ledger.due,
            self._ledger.ping,
        )

    def renew(self, claim: object, lease: float) -> bool:
        kept = self._ledger.renew(claim, lease)  # type: ignore[arg-type] # passed on as it came
        self._renewed.set()
        return kept


def test_what_always_kills_its_worker_fails_after_three_times(walk: Walkthrough) -> None:
    sha, step = at_full_check(walk)
    walk.checks["full"].during = dies
    deaths = 0
    for _ in range(10):
        try:
            walk.worker.perform(step.id)
        except Death:
            deaths += 1
        walk.clock.advance(LEASE)
        walk.sweep.once()
    assert deaths == 3
    walk.settle()
    run = walk.run(sha)
    assert run.status is RunStatus.HELD
    assert "gave up: the worker died 3 times while doing this step" in run.reason
    assert walk.told() == ["run.held"]
    assert walk.tags() == {}


def test_an_unforeseen_error_is_tried_three_times(walk: Walkthrough) -> None:
    sha = walk.push(ValueError("hf_secret is no number"))
    walk.settle()
    assert len(walk.checks["full"].measured) == 3
    run = walk.run(sha)
    assert run.status is RunStatus.HELD
    assert "gave up after 3 tries: ValueError: *** is no number" in run.reason


def test_a_step_of_the_machine_itself_that_fails_tells_people(walk: Walkthrough) -> None:
    walk.hub.fail_next("describe", ValueError("a bug"), times=3)
    sha = walk.pushed_and_settled()
    assert walk.run(sha).status is RunStatus.FAILED
    assert walk.run(sha).reason == "gave up after 3 tries: ValueError: a bug"
    assert walk.told() == ["run.failed"]


def test_two_crashes_leave_no_trace_on_the_result(walk: Walkthrough) -> None:
    walk.hub.fail_next("describe", ValueError("a hiccup"), times=2)
    sha = walk.pushed_and_settled()
    assert walk.run(sha).status is RunStatus.PROMOTED


def test_a_worker_told_to_stop_gives_its_step_back_without_counting(walk: Walkthrough) -> None:
    sha, step = at_full_check(walk)
    for _ in range(5):  # more restarts than crashes are allowed
        walk.checks["full"].during = once(walk.stop.set)
        assert walk.worker.perform(step.id)
        (back,) = [s for s in walk.open_steps() if s.id == step.id]
        assert (back.state, back.attempts) == (StepState.READY, 0)
        assert back.due_at == walk.clock.now()
        assert not walk.worker.perform(step.id)  # nothing new is begun while stopping
        walk.stop.clear()
    walk.settle()
    assert walk.run(sha).status is RunStatus.PROMOTED


def test_a_promotion_told_to_stop_is_given_back_between_moves(walk: Walkthrough) -> None:
    walk.pushed_and_settled()
    second = walk.push(0.95)
    step = walk.until(StepKind.PROMOTE)
    walk.hub.before_next("delete_tag", walk.stop.set)
    walk.worker.perform(step.id)
    assert "staging" not in walk.tags()
    walk.stop.clear()
    walk.settle()
    assert walk.tags()["staging"] == second
    assert "stage.held" not in walk.told()


def test_a_database_that_is_away_costs_only_time(walk: Walkthrough) -> None:
    sha, step = at_full_check(walk)
    outage = _Outage(walk)
    worker = walk.worker_named("w1", ledger=outage)  # type: ignore[arg-type] # delegates the rest
    walk.checks["full"].during = once(lambda: setattr(outage, "away", True))
    assert worker.perform(step.id)
    assert not worker.perform(step.id)
    outage.away = False
    walk.settle()
    assert walk.run(sha).status is RunStatus.PROMOTED


class _Outage:
    """The ledger, with the database gone while `away`."""

    def __init__(self, walk: Walkthrough) -> None:
        self._ledger = walk.ledger
        self.away = False

    def __getattr__(self, name: str) -> object:
        if self.away:
            raise LedgerUnavailable("connection refused")
        return getattr(self._ledger, name)


def test_a_judge_that_is_asked_again_gives_no_second_verdict(walk: Walkthrough) -> None:
    sha = walk.push()
    promote = walk.until(StepKind.PROMOTE)
    with walk.ledger.transaction() as tx:
        again = tx.add_step(Step("again", StepKind.JUDGE, walk.run(sha).id, "io", walk.clock.now()))
    assert walk.worker.perform(again.id)
    walk.queue.wake(promote)
    walk.settle()
    with walk.ledger.view() as view:
        assert len(view.verdicts_of(walk.repo.hub_id, sha)) == 1
        assert len(view.promotions(hub_id=walk.repo.hub_id)) == 2


def test_progress_is_written_now_and_then(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    clock = FakeClock()
    tell = paced(clock, "check exam")
    for done in range(1, 31):
        tell(done, 30, "requests")
        clock.advance(1)
    told = [record.getMessage() for record in caplog.records]
    assert told == [f"check exam: requests {done}/30" for done in (1, 11, 21)]
