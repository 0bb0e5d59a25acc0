"""Whether somebody takes the steps that are due, and which channels take no notices: what the
ledger knows of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from proctor.core.run import Step, StepKind, StepState
from proctor.flow.attempt import NO_SENDER, STOPS, TRANSIENT
from proctor.ports.ledger import View

_LEASE_EXPIRED: Final = "lease expired"
"""What `Ledger.reclaim` records: whoever tried it is gone."""

_LOOKED_AT: Final = 20
"""Notices of one channel whose tries are read, at the most."""

LATE: Final = 60.0
"""Seconds that a step may be due before nobody seems to be there to take it."""

RETRIED: Final = 900.0
"""The same for a step whose last try failed, and for those in line behind it. The hints for it
come ever more rarely, and somebody was there to try it."""


def at_work(steps: Sequence[Step], now: float) -> Mapping[str, frozenset[str]]:
    """The workers that hold a lease now, by queue."""
    found: dict[str, set[str]] = {}
    for step in steps:
        if _held(step, now) and step.worker:
            found.setdefault(step.queue, set()).add(step.worker)
    return {queue: frozenset(workers) for queue, workers in found.items()}


def unattended(
    steps: Sequence[Step], now: float, late: float = LATE, retried: float = RETRIED
) -> Mapping[str, float]:
    """Queues of which nobody takes steps: how long the oldest is due, in seconds.

    A queue in which something is done now is attended, however long the others have to wait.
    `late` and `retried` are the seconds from which a step counts: one that nobody tried yet, and
    one whose last try failed.
    """
    busy = {step.queue for step in steps if _held(step, now)}
    blocked = {step.lock for step in steps if step.lock and _refused(step)}
    waits: dict[str, float] = {}
    for step in steps:
        due_for = _due_for(step, now)
        patience = retried if _refused(step) or step.lock in blocked else late
        if step.queue not in busy and due_for > patience:
            waits[step.queue] = max(waits.get(step.queue, 0.0), due_for)
    return dict(sorted(waits.items()))


@dataclass(frozen=True, slots=True)
class Failing:
    """A channel that did not take a notice: since when (seconds since the epoch), how many
    notices wait for it, and what went wrong at the last try."""

    channel: str
    since: float
    waiting: int
    error: str


def failing(view: View) -> Sequence[Failing]:
    """The channels whose notices wait to be tried again, by name."""
    lines: dict[str, list[Step]] = {}
    for step in view.open_steps():
        if step.kind is StepKind.ANNOUNCE:
            lines.setdefault(step.lock.removeprefix("announce:"), []).append(step)
    found = []
    for channel, line in sorted(lines.items()):
        refused = [step for step in line if _refused(step)]
        if refused:
            tries = [view.attempts(step.kind, step.subject) for step in refused[:_LOOKED_AT]]
            since = min(a.started_at for attempts in tries for a in attempts)
            error = (refused[-1].error or "").removeprefix(TRANSIENT)
            found.append(Failing(channel, since, len(line), error))
    return found


def _refused(step: Step) -> bool:
    """Whether the step waits to be tried again because its last try failed."""
    return (
        step.state is StepState.READY
        and step.error is not None
        and step.error not in (NO_SENDER, STOPS, _LEASE_EXPIRED)
    )


def _held(step: Step, now: float) -> bool:
    return step.state is StepState.RUNNING and (step.lease_until or 0.0) > now


def _due_for(step: Step, now: float) -> float:
    """A step of a dead worker is due since its lease ended."""
    since = step.lease_until if step.state is StepState.RUNNING else step.due_at
    return now - (since if since is not None else step.due_at)
