"""Whether somebody takes the steps that are due, as far as the ledger knows."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proctor.core.run import Step, StepKind, StepState
from proctor.flow.attempt import STOPS
from proctor.flow.attendance import LATE, RETRIED, at_work, unattended

NOW = 10_000.0


def ready(queue: str, due_for: float) -> Step:
    """A step that is due for so many seconds."""
    return Step(f"{queue}{due_for}", StepKind.SYNC, "x", queue, NOW - due_for)


def running(queue: str, lease_left: float) -> Step:
    """A step that somebody took long ago, with so much of its lease left."""
    return Step(
        f"{queue}{lease_left}",
        StepKind.CHECK,
        "y",
        queue,
        NOW - 5000,
        state=StepState.RUNNING,
        worker="host/1",
        lease_until=NOW + lease_left,
    )


def test_what_is_due_for_long_and_taken_by_nobody_is_told_by_queue() -> None:
    steps = [ready("io", 5), ready("io", 300), ready("eval", LATE), ready("eval", -60)]
    assert unattended(steps, NOW) == {"io": 300}


def test_a_queue_in_which_something_is_done_is_attended() -> None:
    steps = [ready("eval", 3000), running("eval", 30), ready("io", 100)]
    assert unattended(steps, NOW) == {"io": 100}
    assert at_work(steps, NOW) == {"eval": frozenset({"host/1"})}


def test_a_dead_workers_step_counts_from_the_end_of_its_lease() -> None:
    assert unattended([running("eval", -30)], NOW) == {}
    assert unattended([running("eval", -90)], NOW) == {"eval": 90}
    assert at_work([running("eval", -90)], NOW) == {}


def test_a_step_put_off_is_not_late() -> None:
    assert unattended([ready("io", -300)], NOW, 0.0) == {}


def test_steps_that_wait_for_a_retry_and_those_in_line_behind_them_are_no_sign() -> None:
    refused = replace(ready("io", 200), error="transient: 503", lock="announce:hook")
    behind = replace(ready("io", 300), lock="announce:hook")
    assert unattended([refused, behind], NOW) == {}
    assert unattended([refused, behind], NOW, 0.0, 0.0) == {"io": 300}
    assert unattended([refused, behind, ready("io", 100)], NOW) == {"io": 100}
    assert unattended([replace(refused, due_at=NOW - RETRIED - 1)], NOW) == {"io": RETRIED + 1}


@pytest.mark.parametrize("error", [STOPS, "lease expired"])
def test_what_a_worker_left_that_is_gone_counts_at_once(error: str) -> None:
    assert unattended([replace(ready("io", 100), error=error)], NOW) == {"io": 100}
