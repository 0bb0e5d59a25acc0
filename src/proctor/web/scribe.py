"""The one writer of deliveries: requests that come together share a transaction.

A commit costs a disk flush, whatever it holds. While one batch is being committed the next one
gathers; each request is answered after the commit that holds its delivery. One thread, so SQLite
has one writer here and the event loop never waits for a disk.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from proctor.core.errors import LedgerUnavailable
from proctor.flow.accept import Accepted, Arrival, accept_all, quarantine
from proctor.ports.clock import Clock
from proctor.ports.ledger import Ledger
from proctor.web.metrics import Metrics

logger = logging.getLogger(__name__)

BATCH: Final = 128
"""Deliveries in one transaction, at most: keeps it short for the workers that write too."""

ROOM: Final = 2000
"""Deliveries that may wait; beyond it the sender is told to come back."""

QUICK: Final = 1.0
"""Seconds. A write that failed sooner than this is tried once more: a deadlock or a connection
that the database had closed is over by then, a database that is down is not."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    arrival: Arrival
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Accepted]


class Scribe:
    """Writes arrivals to the ledger. `start` before use, `stop` after: what waits is written."""

    def __init__(
        self, ledger: Ledger, clock: Clock, metrics: Metrics, scrub: Callable[[str], str]
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._metrics = metrics
        self._scrub = scrub
        self._changed = threading.Condition()
        self._waiting: deque[_Waiting] = deque()
        self._stopping = True
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to write."""
        self._stopping = False
        # A daemon: a database that hangs must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name="scribe", daemon=True)
        self._thread.start()

    def stop(self, timeout: float = 10.0) -> None:
        """Write what waits, then end; gives up after `timeout` seconds."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(timeout)

    async def write(self, arrival: Arrival, patience: float) -> Accepted:
        """Put `arrival` on record; returns after the commit.

        Raises LedgerUnavailable when that did not happen within `patience` seconds. (A commit may
        still follow: the sender's next try is then a duplicate.)
        """
        loop = asyncio.get_running_loop()
        waiting = _Waiting(arrival, loop, loop.create_future())
        with self._changed:
            if self._stopping:
                raise LedgerUnavailable("the receiver is shutting down")
            if len(self._waiting) >= ROOM:
                raise LedgerUnavailable(f"{ROOM} deliveries wait to be written already")
            self._waiting.append(waiting)
            self._changed.notify()
        try:
            async with asyncio.timeout(patience):
                return await waiting.future
        except TimeoutError:
            raise LedgerUnavailable(
                f"the database did not take the delivery within {patience:g} s"
            ) from None

    def _run(self) -> None:
        while batch := self._next():
            self._metrics.batch.observe(len(batch))
            outcomes = self._write([w.arrival for w in batch])
            for loop in {w.loop for w in batch}:
                mine = [(w, o) for w, o in zip(batch, outcomes, strict=True) if w.loop is loop]
                if not loop.is_closed():
                    loop.call_soon_threadsafe(_tell, mine)

    def _next(self) -> list[_Waiting]:
        """The next batch; empty at the end."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._stopping)
                taken = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
                self._metrics.waiting.set(len(self._waiting))
            # Those whose sender was told 503 meanwhile come again: not written now.
            batch = [w for w in taken if not w.future.done()]
            if batch or not taken:
                return batch

    def _write(self, arrivals: Sequence[Arrival]) -> Sequence[Accepted | LedgerUnavailable]:
        began = time.monotonic()
        try:
            return accept_all(self._ledger, self._clock, arrivals)
        except LedgerUnavailable as e:
            if time.monotonic() - began > QUICK:
                return self._refuse(arrivals, e)
        except Exception as e:
            self._log("a batch of deliveries could not be written", e)
        # One by one: what is wrong with one of them must not cost the others.
        return (
            [self._write_one(arrival) for arrival in arrivals]
            if self._answers()
            else (self._refuse(arrivals, LedgerUnavailable("the database does not answer")))
        )

    def _answers(self) -> bool:
        try:
            self._ledger.ping()
        except LedgerUnavailable:
            return False
        return True

    def _write_one(self, arrival: Arrival) -> Accepted | LedgerUnavailable:
        try:
            return accept_all(self._ledger, self._clock, [arrival])[0]
        except ValueError as e:  # the ledger refuses something in it, and will each time
            self._log("a delivery could not be recorded; only its bytes are kept", e)
            return self._salvage(arrival)
        except Exception as e:
            return self._failed(e)

    def _salvage(self, arrival: Arrival) -> Accepted | LedgerUnavailable:
        try:
            reason = "the ledger refused what it tells; see the log"
            return quarantine(self._ledger, self._clock, arrival, reason)
        except Exception as e:
            return self._failed(e)

    def _failed(self, error: Exception) -> LedgerUnavailable:
        if isinstance(error, LedgerUnavailable):
            return error
        self._log("a delivery could not be stored", error)
        return LedgerUnavailable("the delivery could not be stored")

    def _refuse(
        self, arrivals: Sequence[Arrival], error: LedgerUnavailable
    ) -> Sequence[LedgerUnavailable]:
        self._log(f"{len(arrivals)} deliveries could not be stored", error)
        return [error] * len(arrivals)

    def _log(self, what: str, error: Exception) -> None:
        logger.error("%s: %s", what, self._scrub(f"{type(error).__name__}: {error}"))


def _tell(outcomes: Sequence[tuple[_Waiting, Accepted | LedgerUnavailable]]) -> None:
    for waiting, outcome in outcomes:
        if waiting.future.done():
            continue
        if isinstance(outcome, LedgerUnavailable):
            waiting.future.set_exception(outcome)
        else:
            waiting.future.set_result(outcome)
