"""Trying again, by error class."""

from __future__ import annotations

import math
import random
import threading
from collections.abc import Callable
from typing import TypeVar

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    sleep_using_event,
    stop_after_attempt,
    stop_before_delay,
)

from proctor.core.errors import TransientError
from proctor.hub.patience import Patience

T = TypeVar("T")


def persist(
    work: Callable[[], T],
    patience: Patience,
    given_up: threading.Event | None = None,
    *,
    within: float = math.inf,
) -> T:
    """Do `work`, again after each TransientError that a short wait may mend. No other try begins
    later than `within` seconds after the first.

    Only for work that may be done twice. Waits are full-jitter exponential
    (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/), or what the Hub
    asks for; `given_up` ends a wait. The last error is raised as it came.
    """

    def worth_it(error: BaseException) -> bool:
        return isinstance(error, TransientError) and (error.delay or 0) <= patience.longest_wait

    def wait(state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked = error.delay if isinstance(error, TransientError) else None
        ceiling = min(patience.backoff * 2.0 ** (state.attempt_number - 1), patience.longest_wait)
        jitter = random.uniform(0, ceiling)  # noqa: S311 - spreads load, guards nothing
        return jitter if asked is None else min(asked + jitter, patience.longest_wait)

    return Retrying(
        retry=retry_if_exception(worth_it),
        wait=wait,
        stop=stop_after_attempt(patience.attempts) | stop_before_delay(within),
        reraise=True,
        sleep=sleep_using_event(given_up or threading.Event()),
    )(work)
