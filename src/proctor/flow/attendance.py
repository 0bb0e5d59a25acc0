"""Whether somebody takes the steps that are due: what the ledger knows of it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from proctor.core.run import Step, StepState

LATE: Final = 60.0
"""Seconds that a step may be due before nobody seems to be there to take it."""


def at_work(steps: Sequence[Step], now: float) -> Mapping[str, frozenset[str]]:
    """The workers that hold a lease now, by queue."""
    found: dict[str, set[str]] = {}
    for step in steps:
        if _held(step, now) and step.worker:
            found.setdefault(step.queue, set()).add(step.worker)
    return {queue: frozenset(workers) for queue, workers in found.items()}


def unattended(steps: Sequence[Step], now: float, late: float = LATE) -> Mapping[str, float]:
    """Queues of which nobody takes steps: how long the oldest is due, in seconds.

    A queue in which something is done now is attended, however long the others have to wait.
    """
    busy = {step.queue for step in steps if _held(step, now)}
    waits: dict[str, float] = {}
    for step in steps:
        if step.queue not in busy:
            waits[step.queue] = max(waits.get(step.queue, 0.0), _due_for(step, now))
    return {queue: wait for queue, wait in sorted(waits.items()) if wait > late}


def _held(step: Step, now: float) -> bool:
    return step.state is StepState.RUNNING and (step.lease_until or 0.0) > now


def _due_for(step: Step, now: float) -> float:
    """A step of a dead worker is due since its lease ended."""
    since = step.lease_until if step.state is StepState.RUNNING else step.due_at
    return now - (since if since is not None else step.due_at)
