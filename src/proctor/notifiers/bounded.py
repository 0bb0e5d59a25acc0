"""A bound on the time of a call that has none of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from proctor.core.errors import TransientError

T = TypeVar("T")


def within(seconds: float, call: Callable[[], T]) -> T:
    """The result of `call`, run in a thread of its own. Raises what it raises, or TransientError
    when it is not done in time; it is then left behind and its result is dropped.

    Socket timeouts bound each read, not the whole: a server that drips bytes outlives them.
    """
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(call())
        except BaseException as e:  # carried over to the caller
            errors.append(e)

    thread = threading.Thread(target=run, name="proctor-notifier", daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not results:
        raise TransientError(f"no answer within {seconds:g} s")
    return results[0]
