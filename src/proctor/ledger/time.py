"""The database's clock, which all hosts share."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final, TypeAlias

Correct: TypeAlias = Callable[[float, float], None]
"""Told that the shared clock showed the first number (seconds since the epoch) at some moment of
the last so many seconds (the second number)."""

EVERY: Final = 60.0
"""Seconds between two looks at the database's clock."""

# clock_timestamp() is of this very moment, now() of the transaction's begin.
# https://www.postgresql.org/docs/current/functions-datetime.html#FUNCTIONS-DATETIME-CURRENT
_ASK: Final = "SELECT extract(epoch FROM clock_timestamp())::float8"


class SharedTime:
    """Passes on the time of a PostgreSQL server, before its first use and then each minute.

    A SQLite file is used from one machine only, whose clock is the shared one.
    """

    def __init__(self, correct: Correct) -> None:
        self._correct = correct
        self._lock = threading.Lock()
        self._next = 0.0  # on the monotonic clock

    def look(self, asking: Callable[[], AbstractContextManager[Callable[[str], float]]]) -> None:
        """Ask, where the last answer is too old. `asking` opens a way to run a statement that
        returns one number. Raises what that raises."""
        if time.monotonic() < self._next:
            return
        with self._lock:
            if time.monotonic() < self._next:
                return
            with asking() as ask:
                asked = time.monotonic()
                shared = ask(_ASK)
                heard = time.monotonic()
            self._correct(shared, heard - asked)
            self._next = heard + EVERY
