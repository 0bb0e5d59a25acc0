"""When a step that did not succeed is tried again. The decision is a value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from proctor.core.errors import PermanentError, TransientError

CRASHES_ALLOWED = 3
"""Tries that may end by a crash or an unforeseen error: ends the loop of an eval that always runs
out of memory."""

PATIENCE = 24 * 3600.0
"""Seconds for which the world's transient errors (Hub down, 429) are waited out."""

LONGEST_WAIT = 300.0
"""Seconds between two tries at the most, unless the peer asked for more."""


@dataclass(frozen=True, slots=True)
class Again:
    """Try again after `delay` seconds; `counts` says whether this try counts as a crash."""

    delay: float
    counts: bool


@dataclass(frozen=True, slots=True)
class GiveUp:
    """No retry mends this; the reason goes on record."""

    reason: str


Decision: TypeAlias = Again | GiveUp


def decide(
    error: Exception, *, crashes: int, transients: int, waited: float, jitter: float
) -> Decision:
    """Decide after a failed try.

    `crashes` counts the tries that counted so far, this one included; `transients` the transient
    errors in a row before this one, which began `waited` seconds ago; `jitter` is a random number
    in [0, 1) (equal jitter: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
    """
    if isinstance(error, PermanentError):
        return GiveUp(str(error))
    if isinstance(error, TransientError):
        if waited >= PATIENCE:
            return GiveUp(f"gave up after {waited / 3600:.0f} h of trying: {error}")
        backoff = min(LONGEST_WAIT, 2.0 ** min(transients, 10)) * (0.5 + jitter / 2)
        return Again(max(error.delay or 0.0, backoff), counts=False)
    if crashes >= CRASHES_ALLOWED:
        return GiveUp(f"gave up after {crashes} tries: {type(error).__name__}: {error}")
    return Again(2.0**crashes * (0.5 + jitter / 2), counts=True)
