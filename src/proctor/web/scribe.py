"""The one writer of deliveries: requests that come together share a transaction.

A commit costs a disk flush, whatever it holds. While one batch is being committed the next one
gathers; each request is answered after the commit that holds its delivery. One thread writes, so
SQLite has one writer here and the event loop never waits for a disk; it is given whole batches and
gives back whole outcomes, so the two threads meet twice a batch and not twice a request.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from queue import SimpleQueue
from typing import Final, Protocol, TypeAlias

from proctor.core.errors import LedgerUnavailable
from proctor.core.event import Disposition
from proctor.core.run import Step
from proctor.flow.accept import Accepted, Arrival, Waits, accept_all, at_once, quarantine
from proctor.ports.clock import Clock
from proctor.ports.intake import Intake
from proctor.web.metrics import Metrics

logger = logging.getLogger(__name__)

BATCH: Final = 256
"""Deliveries in one transaction, at most: keeps it short for the workers that write too."""

ROOM: Final = 2000
"""Deliveries that may wait; beyond it the sender is told to come back."""

QUICK: Final = 1.0
"""Seconds. A write that failed sooner than this is tried once more: a deadlock or a connection
that the database had closed is over by then, a database that is down is not."""

_LOOKS: Final = 5
"""How often within its patience a delivery is looked at, to see whether it waits too long."""

Outcome: TypeAlias = Accepted | LedgerUnavailable

WORDS: Final = {
    Disposition.PENDING: "accepted",
    Disposition.DUPLICATE: "duplicate",
    Disposition.QUARANTINED: "quarantined",
}
"""What senders are told of a disposition."""


class Waiter(Protocol):
    """One who waits for a delivery to be on record: an asyncio future, or less. It is told once,
    unless it is `done` with waiting before. None of these may block or raise."""

    def done(self) -> bool: ...
    def set_result(self, accepted: Accepted, /) -> None: ...
    def set_exception(self, error: LedgerUnavailable, /) -> None: ...


class _Waiting:
    """A delivery, the one who waits for it, and since when (by the loop's clock)."""

    __slots__ = ("arrival", "since", "waiter")

    def __init__(self, arrival: Arrival, waiter: Waiter, since: float) -> None:
        self.arrival = arrival
        self.waiter = waiter
        self.since = since


class Scribe:
    """Writes arrivals to the ledger. `start` before use, `stop` after: what waits is written.

    All methods belong to one event loop. `woken` is called there after each commit, with the steps
    that it asked for; it must not block.
    """

    def __init__(
        self,
        intake: Intake,
        clock: Clock,
        metrics: Metrics,
        scrub: Callable[[str], str],
        woken: Callable[[Iterable[Step]], None],
        *,
        patience: float,
        waits: Waits = at_once,
    ) -> None:
        """`patience` in seconds: how long a commit may take until its senders are told 503."""
        self._intake = intake
        self._clock = clock
        self._metrics = metrics
        self._scrub = scrub
        self._woken = woken
        self._patience = patience
        self._waits = waits
        self._gathering: deque[_Waiting] = deque()
        self._writing: Sequence[_Waiting] = ()
        self._inbox: SimpleQueue[Sequence[_Waiting]] = SimpleQueue()
        self._called = False  # a hand-over is on its way
        self._watched = False  # a look at who waits too long is on its way
        self._stopping = True
        self._written = asyncio.Event()  # all that came before the stop
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to write, for the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._stopping = False
        # A daemon: a database that hangs must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name="scribe", daemon=True)
        self._thread.start()

    async def stop(self, within: float = 10.0) -> None:
        """Write what waits, then end; gives up after `within` seconds."""
        self._stopping = True
        if self._gathering or self._writing:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._written.wait(), within)
        self._inbox.put(())
        if self._thread is not None and not self._writing:
            await asyncio.to_thread(self._thread.join, within)

    def write(self, arrival: Arrival, waiter: Waiter) -> None:
        """Put `arrival` on record; `waiter` is told after the commit.

        It is told LedgerUnavailable when that did not happen in time. (A commit may still follow:
        the sender's next try is then a duplicate.)
        """
        if self._stopping:
            waiter.set_exception(LedgerUnavailable("the receiver is shutting down"))
        elif len(self._gathering) >= ROOM:
            waiter.set_exception(LedgerUnavailable(f"{ROOM} deliveries wait to be written already"))
        else:
            self._gathering.append(_Waiting(arrival, waiter, self._loop.time()))
            if not self._writing and not self._called:
                # Not at once: those who came in the same moment may still join.
                self._called = True
                self._loop.call_soon(self._hand_over)
            if not self._watched:
                self._watched = True
                self._loop.call_later(self._patience / _LOOKS, self._look)

    def _hand_over(self) -> None:
        self._called = False
        if self._writing:
            return
        batch: list[_Waiting] = []
        while self._gathering and len(batch) < BATCH:
            waiting = self._gathering.popleft()
            # Those whose sender was told 503 meanwhile come again: not written now.
            if not waiting.waiter.done():
                batch.append(waiting)
        self._metrics.waiting.set(len(self._gathering))
        if batch:
            self._writing = batch
            self._metrics.batch.observe(len(batch))
            self._inbox.put(batch)

    def _tell(self, outcomes: Sequence[Outcome]) -> None:
        written, self._writing = self._writing, ()
        self._hand_over()  # the next ones can be written while these are told
        counts: Counter[Disposition] = Counter()
        steps: dict[str, Step] = {}
        for waiting, outcome in zip(written, outcomes, strict=True):
            waiter = waiting.waiter
            if isinstance(outcome, LedgerUnavailable):
                if not waiter.done():
                    waiter.set_exception(outcome)
                continue
            if not waiter.done():
                waiter.set_result(outcome)
            counts[outcome.disposition] += 1
            if outcome.step is not None:
                steps[outcome.step.id] = outcome.step
        if self._stopping and not self._writing:
            self._written.set()
        for disposition, count in counts.items():
            self._metrics.deliveries.labels(WORDS[disposition]).inc(count)
        if steps:
            self._woken(steps.values())

    def _look(self) -> None:
        """Tell those who have waited too long."""
        self._watched = False
        late = self._loop.time() - self._patience
        for waiting in (*self._writing, *self._gathering):
            if waiting.since <= late and not waiting.waiter.done():
                waiting.waiter.set_exception(
                    LedgerUnavailable(
                        f"the database did not take the delivery within {self._patience:g} s"
                    )
                )
        # Their bodies are let go too: senders that come again would fill the memory.
        self._gathering = deque(each for each in self._gathering if not each.waiter.done())
        if self._writing or self._gathering:
            self._watched = True
            self._loop.call_later(self._patience / _LOOKS, self._look)

    def _run(self) -> None:
        while batch := self._inbox.get():
            outcomes = self._write([waiting.arrival for waiting in batch])
            try:
                self._loop.call_soon_threadsafe(self._tell, outcomes)
            except RuntimeError:  # the loop is closed: nobody waits any more
                return

    def _write(self, arrivals: Sequence[Arrival]) -> Sequence[Outcome]:
        began = time.monotonic()
        try:
            return accept_all(self._intake, self._clock, arrivals, self._waits)
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
            self._intake.ping()
        except LedgerUnavailable:
            return False
        except Exception as e:  # this thread is the only one that writes: it must outlive anything
            self._log("the database cannot be asked", e)
            return False
        return True

    def _write_one(self, arrival: Arrival) -> Outcome:
        try:
            return accept_all(self._intake, self._clock, [arrival], self._waits)[0]
        except ValueError as e:  # the ledger refuses something in it, and will each time
            self._log("a delivery could not be recorded; only its bytes are kept", e)
            return self._salvage(arrival)
        except Exception as e:
            return self._failed(e)

    def _salvage(self, arrival: Arrival) -> Outcome:
        try:
            reason = "the ledger refused what it tells; see the log"
            return quarantine(self._intake, self._clock, arrival, reason)
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
