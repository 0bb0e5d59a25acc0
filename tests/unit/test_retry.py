"""When a step is tried again."""

from __future__ import annotations

import pytest

from proctor.core.errors import (
    AccessDenied,
    CheckFailed,
    LedgerUnavailable,
    PermanentError,
    TransientError,
)
from proctor.core.retry import CRASHES_ALLOWED, LONGEST_WAIT, PATIENCE, Again, GiveUp, decide


def after(
    error: Exception,
    crashes: int = 1,
    transients: int = 0,
    waited: float = 0.0,
    jitter: float = 0.0,
) -> Again | GiveUp:
    return decide(error, crashes=crashes, transients=transients, waited=waited, jitter=jitter)


@pytest.mark.parametrize("error", [PermanentError("no"), CheckFailed("no")])
def test_what_cannot_mend_is_given_up_at_once(error: Exception) -> None:
    assert after(error) == GiveUp("no")


def test_a_refused_token_waits_for_a_person_as_long_as_the_world_is_waited_for() -> None:
    for waited in (0.0, PATIENCE - 1):
        paused = after(AccessDenied("403"), crashes=99, waited=waited)
        assert paused == Again(LONGEST_WAIT, counts=False)
    given_up = after(AccessDenied("403"), waited=PATIENCE)
    assert given_up == GiveUp("gave up after 24 h of trying: 403")


def test_the_world_is_waited_for_longer_and_longer_and_never_counts() -> None:
    waits = [after(TransientError("down"), transients=n, jitter=0.999999) for n in range(12)]
    delays = [w.delay for w in waits if isinstance(w, Again)]
    assert delays[:5] == pytest.approx([1, 2, 4, 8, 16], rel=1e-3)
    assert delays[-1] == pytest.approx(LONGEST_WAIT, rel=1e-3)
    assert len(delays) == 12
    assert not any(w.counts for w in waits if isinstance(w, Again))


def test_jitter_takes_off_up_to_all() -> None:
    assert after(TransientError("down"), transients=3, jitter=0.0) == Again(0.0, counts=False)
    assert after(TransientError("down"), transients=3, jitter=0.5) == Again(4.0, counts=False)


@pytest.mark.parametrize(
    ("asked", "first", "last"), [(900.0, 900.0, 990.0), (3600.0, 3600.0, 3900.0), (0.1, 0.1, 1.1)]
)
def test_a_delay_that_the_peer_asked_for_is_the_least(
    asked: float, first: float, last: float
) -> None:
    error = TransientError("429", delay=asked)
    assert after(error) == Again(first, counts=False)
    latest = after(error, jitter=0.999999)
    assert isinstance(latest, Again)
    assert latest.delay == pytest.approx(last, rel=1e-3)


def test_patience_ends() -> None:
    error = LedgerUnavailable("down")
    assert isinstance(after(error, waited=PATIENCE - 1, crashes=99), Again)
    assert after(error, waited=PATIENCE) == GiveUp("gave up after 24 h of trying: down")


def test_a_crash_counts_and_the_third_ends_it() -> None:
    assert after(RuntimeError("boom"), crashes=1, jitter=0.5) == Again(1.0, counts=True)
    assert after(RuntimeError("boom"), crashes=2, jitter=0.75) == Again(3.0, counts=True)
    assert CRASHES_ALLOWED == 3
    given_up = after(RuntimeError("boom"), crashes=3)
    assert given_up == GiveUp("gave up after 3 tries: RuntimeError: boom")
