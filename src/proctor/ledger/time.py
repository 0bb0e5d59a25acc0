"""The database's clock, which all hosts share."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final, TypeAlias

from sqlalchemy import Engine

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

    def look(self, engine: Engine) -> None:
        """Ask, where the last answer is too old. Raises what the driver raises."""
        if engine.dialect.name != "postgresql" or time.monotonic() < self._next:
            return
        with self._lock:
            if time.monotonic() < self._next:
                return
            with engine.connect() as connection:
                connection.exec_driver_sql("SELECT 1")  # the way there is open now: asking is quick
                asked = time.monotonic()
                shared = float(connection.exec_driver_sql(_ASK).scalar_one())
                heard = time.monotonic()
            self._correct(shared, heard - asked)
            self._next = heard + EVERY
