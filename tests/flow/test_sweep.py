"""The sweep finds what the broker lost, and does not flood it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proctor.core.run import RunStatus, StepKind

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


def test_a_sweep_without_anything_to_do_says_so(walk: Walkthrough) -> None:
    walk.pushed_and_settled()
    swept = walk.sweep.once()
    assert (swept.reclaimed, swept.woken, swept.orphans) == (0, 0, 0)
