"""The sweep finds what the broker lost, and does not flood it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from proctor.core.errors import TransientError
from proctor.core.run import LONGEST_LEASE, RunStatus, StepKind
from proctor.ports.check import Room, Subject

if TYPE_CHECKING:
    from tests.flow.conftest import Walkthrough


def test_every_message_may_be_lost(walk: Walkthrough) -> None:
    walk.queue.broken = True
    sha = walk.push()
    walk.deliver_all()
    for _ in range(60):
        walk.queue.broken = False
        walk.sweep.once()
        taken = walk.queue.take()
        walk.queue.broken = True  # what the worker itself sends is lost
        for step in taken:
            walk.worker.perform(step.id)
        walk.clock.advance(10)
    assert not walk.open_steps()
    assert walk.run(sha).status is RunStatus.PROMOTED


def test_a_busy_queue_is_not_flooded_with_hints(walk: Walkthrough) -> None:
    walk.push()
    walk.deliver_all()
    walk.queue.lose_all()
    times = []
    began = walk.clock.now()
    for _ in range(2000):
        if walk.sweep.once().woken:
            times.append(walk.clock.now() - began)
            walk.queue.lose_all()
        walk.clock.advance(1)
    gaps = [b - a for a, b in zip([0.0, *times], times, strict=False)]
    assert gaps == [10, 10, 20, 40, 80, 160, 300, 300, 300, 300, 300]


def test_a_broker_that_is_down_is_tried_at_the_same_pace(walk: Walkthrough) -> None:
    walk.queue.broken = True
    walk.push()
    walk.deliver_all()
    walk.clock.advance(11)
    assert walk.sweep.once().woken == 0
    walk.queue.broken = False
    walk.clock.advance(11)
    assert walk.sweep.once().woken == 1


def test_an_event_that_no_step_waits_for_is_looked_at(walk: Walkthrough) -> None:
    sha = walk.push()
    walk.deliver_all()
    walk.queue.lose_all()
    with walk.ledger.transaction() as tx:
        assert tx.cancel_steps(StepKind.PLAN, walk.repo.hub_id, "a test takes it away") == 1
    swept = walk.sweep.once()
    assert swept.orphans == 1
    assert walk.drain() > 0
    walk.settle()
    assert walk.run(sha).status is RunStatus.PROMOTED
    assert walk.sweep.once().orphans == 0


YEAR = 365 * 86_400.0


def test_what_is_due_in_a_year_is_done_now(walk: Walkthrough) -> None:
    sha = walk.push()
    walk.clock.jump(YEAR)  # the host's clock is wrong while the webhook arrives
    walk.deliver_all()
    walk.clock.jump(-YEAR)
    assert walk.drain() == 0
    assert walk.sweep.once().woken == 1
    walk.settle()
    assert walk.run(sha).status is RunStatus.PROMOTED


def test_a_run_that_a_wrong_clock_put_off_begins(walk: Walkthrough) -> None:
    walk.clock.jump(YEAR)
    walk.push()
    walk.until(StepKind.CHECK)
    second = walk.push(0.95)  # waits for SETTLE, counted from the first
    walk.deliver_all()
    walk.drain()
    assert walk.run(second).begins_at > walk.clock.now()
    walk.clock.jump(-YEAR)
    walk.settle()
    assert walk.run(second).status is RunStatus.PROMOTED


def test_who_asked_to_be_left_alone_for_a_day_is(walk: Walkthrough) -> None:
    walk.channels["team"].fail_next(TransientError("429", delay=86_400))
    walk.push(0.1)
    step = walk.until(StepKind.ANNOUNCE)
    walk.worker.perform(step.id)
    for _ in range(3):
        walk.sweep.once()
        walk.clock.advance(60)
    assert walk.drain() == 0
    assert walk.told() == []


class Death(BaseException):
    """kill -9."""


def test_the_lease_of_a_dead_worker_whose_clock_was_wrong_ends(walk: Walkthrough) -> None:
    def dies(subject: Subject, room: Room) -> None:
        raise Death

    sha = walk.push()
    step = walk.until(StepKind.CHECK)
    use = walk.checks["smoke"], walk.checks["card"]
    for each in use:
        each.during = dies
    walk.clock.jump(YEAR)
    with pytest.raises(Death):
        walk.worker.perform(step.id)
    walk.clock.jump(-YEAR)
    for each in use:
        each.during = None
    walk.sweep.once()
    walk.clock.advance(LONGEST_LEASE - 1)
    assert walk.sweep.once().reclaimed == 0  # whoever is alive would renew it
    walk.clock.advance(1)
    assert walk.sweep.once().reclaimed == 1
    walk.settle()
    assert walk.run(sha).status is RunStatus.PROMOTED


def test_a_worker_that_is_alive_keeps_its_step_whatever_its_clock_says(walk: Walkthrough) -> None:
    walk.push()
    step = walk.until(StepKind.CHECK)
    walk.clock.jump(YEAR)
    claim = walk.ledger.claim(step.id, "w9", 60)
    assert claim is not None
    for _ in range(30):
        walk.clock.advance(600)
        assert walk.ledger.renew(claim, 60)
        walk.clock.jump(-YEAR)
        assert walk.sweep.once().reclaimed == 0
        walk.clock.jump(YEAR)


def test_a_sweep_without_anything_to_do_says_so(walk: Walkthrough) -> None:
    walk.pushed_and_settled()
    swept = walk.sweep.once()
    assert (swept.reclaimed, swept.woken, swept.orphans) == (0, 0, 0)
