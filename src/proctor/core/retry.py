"""When a step that did not succeed is tried again. The decision is a value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from proctor.core.errors import AccessDenied, PermanentError, TransientError

CRASHES_ALLOWED = 3
"""Tries that may end by a crash or an unforeseen error: ends the loop of an eval that always runs
out of memory."""

PATIENCE = 24 * 3600.0
"""Seconds for which the world's transient errors (Hub down, 429) are waited out."""

LONGEST_WAIT = 300.0
"""Seconds between two tries at the most, unless the peer asked for more."""

SPREAD = 0.1
"""Part of a delay that a peer asked for, over which those that were told the same come back."""


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

GAVE_UP = "gave up"
"""How the reason begins after tries in vain (and not after an error that no try can mend)."""


def decide(
    error: Exception, *, crashes: int, transients: int, waited: float, jitter: float
) -> Decision:
    """Decide after a failed try. A refused token waits for a person as long as an outage is
    waited out: what needs it goes on by itself once it is mended.

    `crashes` counts the tries that counted so far, this one included; `transients` the transient
    errors and refusals in a row before this one, which began `waited` seconds ago; `jitter` is a
    random number in [0, 1) (full jitter: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
    What a peer asks for is the least, and the jitter comes on top of it: whoever was told the same
    must not come back in the same second.
    """
    if isinstance(error, PermanentError) and not isinstance(error, AccessDenied):
        return GiveUp(str(error))
    if isinstance(error, TransientError | AccessDenied):
        if waited >= PATIENCE:
            return GiveUp(f"{GAVE_UP} after {waited / 3600:.0f} h of trying: {error}")
        if isinstance(error, AccessDenied):
            return Again(LONGEST_WAIT, counts=False)
        asked = error.delay or 0.0
        spread = min(LONGEST_WAIT, max(2.0 ** min(transients, 10), asked * SPREAD))
        return Again(asked + spread * jitter, counts=False)
    if crashes >= CRASHES_ALLOWED:
        return GiveUp(f"{GAVE_UP} after {crashes} tries: {type(error).__name__}: {error}")
    return Again(2.0**crashes * jitter, counts=True)
