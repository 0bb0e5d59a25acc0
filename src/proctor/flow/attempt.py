"""One try of one step: claim it, keep the lease, do it, and say what became of it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from proctor.core.errors import (
    AccessDenied,
    Cancelled,
    LedgerUnavailable,
    ProctorError,
    StaleClaim,
    TokenRefused,
    TransientError,
)
from proctor.core.retry import CRASHES_ALLOWED, GAVE_UP, Again, GiveUp, decide
from proctor.core.run import Attempt, Step, StepKind
from proctor.flow.turns import Turns
from proctor.ports.clock import Clock
from proctor.ports.ledger import GIVEN_BACK, Claim, Ledger, Transaction, View
from proctor.ports.queue import Queue

log = logging.getLogger(__name__)

TRANSIENT = "transient: "
"""How the error begins with which a step is given back after a transient error."""

PAUSED = "access denied: "
"""How the error begins with which a step is given back to wait for a person."""

NO_SENDER = "every thread that may send notices is sending"
"""The error with which a notice is given back to wait for a thread."""

STOPS = "the worker stops"
"""The error with which a step is given back at the end of its worker."""

CUT_OFF_AGAIN = 5.0
"""Seconds until a step is due again that was cut off in the middle: by then its process is gone,
and with it what the step might still have sent."""

SENDER_WITHIN = 0.1
"""Seconds that a notice waits for a thread to be free: a send takes milliseconds as a rule. Hung
channels keep the other threads for no longer than that."""

SENDER_AGAIN = 5.0
"""Seconds until a notice is tried again that found no thread free to send it."""

ASKING = frozenset({StepKind.PLAN, StepKind.SYNC, StepKind.PROMOTE})
"""Steps that do little but ask the Hub. (A check that downloads does so on another queue.)"""


class Lease:
    """The right to go on. `lost` turns true when the claim is stale, when it could not be renewed
    for two thirds of the lease (by a clock that never jumps), or when the worker has to stop."""

    def __init__(self, worker: Worker, claim: Claim) -> None:
        self._ledger, self._clock, self._claim = worker.ledger, worker.clock, claim
        self._seconds, self._heartbeat = worker.lease, worker.heartbeat
        self._stop, self._over, self._stale = worker.stop, threading.Event(), False
        self._renewed = worker.clock.monotonic()

    def lost(self) -> bool:
        """Whether the work must stop now."""
        late = self._clock.monotonic() - self._renewed > self._seconds * 2 / 3
        return self._stale or late or self._stop.is_set()

    def keep(self) -> None:
        """Renew until `end`; runs in a thread of its own."""
        while not self._over.wait(self._heartbeat):
            with suppress(LedgerUnavailable):
                asked = self._clock.monotonic()
                if not self._ledger.renew(self._claim, self._seconds):
                    self._stale = True
                    return
                self._renewed = asked

    def end(self) -> None:
        """Stop renewing."""
        self._over.set()


class Doing(Protocol):
    """A kind of step: how it is done, and what is recorded when it cannot be."""

    def do(self, claim: Claim, lost: Callable[[], bool], /) -> Sequence[Step]:
        """Do the step, commit its result with `finish`, and return the steps to wake. `lost`
        tells whether the work must stop: raise Cancelled then."""
        ...

    def give_up(self, claim: Claim, reason: str, /) -> Sequence[Step]:
        """Record that the step failed for good, with the reason; return the steps to wake."""
        ...


@dataclass(frozen=True, slots=True)
class Worker:
    """Does steps. `name` is unique per process; `lease` and `heartbeat` in seconds; `stop` is set
    to drain. `paused` writes a notice of a step that waits for a person, and why; `refused` one of
    a token that the Hub refuses whatever is asked, in a transaction of its own. `senders` has
    room for as many threads as may send notices at once, `askers` for those that may wait for the
    Hub: channels that hang, or a Hub that does, must leave some for all other work.
    """

    name: str
    ledger: Ledger
    queue: Queue
    clock: Clock
    steps: Mapping[StepKind, Doing]
    redact: Callable[[str], str]
    paused: Callable[[Transaction, Step, str], Sequence[Step]]
    refused: Callable[[], Sequence[Step]]
    stop: threading.Event
    lease: float = 60.0
    heartbeat: float = 5.0
    senders: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(2))
    askers: Turns = field(default_factory=lambda: Turns(3))
    _open: dict[tuple[str, int], Claim] = field(default_factory=dict, init=False, repr=False)

    def perform(self, step_id: str) -> bool:
        """Try the step once, or when it is its turn; returns whether it could be claimed now.
        Never raises for what went wrong in the step: that is on record, and the step is due again
        or failed."""
        try:
            with self.ledger.view() as view:
                step = view.step(step_id)
        except LedgerUnavailable as error:
            log.warning("cannot look at %s now: %s", step_id, error)
            return False
        if step is not None and step.kind in ASKING:
            return self.askers.take(step_id, self._perform)
        return self._perform(step_id)

    def _perform(self, step_id: str) -> bool:
        if self.stop.is_set():
            return False
        try:
            claim = self.ledger.claim(step_id, self.name, self.lease)
        except LedgerUnavailable as error:
            log.warning("cannot claim %s now: %s", step_id, error)
            return False
        if claim is None:
            return False
        held = (claim.step.id, claim.step.fence)
        self._open[held] = claim
        try:
            wake = self._keep(claim)
        finally:
            self._open.pop(held, None)
        for step in wake:
            self.queue.wake(step)
        return True

    def hand_back(self, spare: Collection[StepKind] = ()) -> None:
        """Give back what is still being done, without counting the try; but not the kinds in
        `spare`. For a process that ends right after: what still runs here can record nothing any
        more, and the step is due again when it cannot send anything any more either."""
        for claim in tuple(self._open.values()):
            if claim.step.kind in spare:
                continue
            try:
                with self.ledger.transaction() as tx:
                    tx.give_back(claim, self.clock.now() + CUT_OFF_AGAIN, STOPS, counts=False)
            except StaleClaim:
                continue  # it came to its end, or another worker holds it
            except LedgerUnavailable as error:
                log.warning("%s %s: cannot be given back now: %s", *_what(claim), error)
                return
            log.warning("%s %s: cut off, and given back", *_what(claim))

    def _keep(self, claim: Claim) -> Sequence[Step]:
        """Do it under a lease that is renewed meanwhile; returns the steps to wake."""
        doing = self.steps[claim.step.kind]
        lease = Lease(self, claim)
        keeper = threading.Thread(target=lease.keep, name=f"lease-{claim.step.id}", daemon=True)
        keeper.start()
        try:
            return self._try(doing, claim, lease)
        except StaleClaim:
            log.warning("%s %s: another worker holds it now; result discarded", *_what(claim))
        except LedgerUnavailable as error:
            # The lease runs out and the sweep gives the step to someone else.
            log.warning("%s %s: cannot record the result now: %s", *_what(claim), error)
        finally:
            lease.end()
            keeper.join(timeout=self.lease)
        return ()

    def _try(self, doing: Doing, claim: Claim, lease: Lease) -> Sequence[Step]:
        if claim.step.kind is not StepKind.ANNOUNCE:
            return self._do(doing, claim, lease)
        if not self.senders.acquire(timeout=SENDER_WITHIN):
            with self.ledger.transaction() as tx:
                tx.give_back(claim, self.clock.now() + SENDER_AGAIN, NO_SENDER, counts=False)
            return ()
        try:
            return self._do(doing, claim, lease)
        finally:
            self.senders.release()

    def _do(self, doing: Doing, claim: Claim, lease: Lease) -> Sequence[Step]:
        if claim.step.attempts > CRASHES_ALLOWED:
            reason = f"{GAVE_UP}: the worker died {CRASHES_ALLOWED} times while doing this step"
            return doing.give_up(claim, reason)
        try:
            return doing.do(claim, lease.lost)
        except StaleClaim:
            raise
        except Cancelled:
            if self.stop.is_set():
                with self.ledger.transaction() as tx:
                    tx.give_back(claim, self.clock.now(), STOPS, counts=False)
                return ()
            raise StaleClaim("the lease is lost") from None
        except Exception as error:
            return self._failed(doing, claim, error)

    def _failed(self, doing: Doing, claim: Claim, error: Exception) -> Sequence[Step]:
        text = self.redact(str(error))
        if not isinstance(error, ProctorError):
            log.error("%s %s: %s: %s", *_what(claim), type(error).__name__, text, exc_info=error)
        with self.ledger.view() as view:
            trail = self._trail(view, claim)
        decision = decide(
            error,
            crashes=claim.step.attempts,
            transients=len(trail),
            waited=self.clock.now() - trail[-1].started_at if trail else 0.0,
            jitter=self.clock.random(),
        )
        if isinstance(decision, GiveUp):
            log.warning("%s %s: %s", *_what(claim), self.redact(decision.reason))
            return doing.give_up(claim, self.redact(decision.reason))
        return self._again(claim, error, text, decision, trail)

    def _again(
        self, claim: Claim, error: Exception, text: str, again: Again, trail: Sequence[Attempt]
    ) -> Sequence[Step]:
        log.info("%s %s: again in %.0f s: %s", *_what(claim), again.delay, text)
        denied = isinstance(error, AccessDenied)
        kind = TRANSIENT if isinstance(error, TransientError) else f"{type(error).__name__}: "
        with self.ledger.transaction() as tx:
            tx.give_back(
                claim,
                self.clock.now() + again.delay,
                (PAUSED if denied else kind) + text,
                counts=again.counts,
            )
            alone = denied and not isinstance(error, TokenRefused)
            if alone and not any(_ended(attempt, PAUSED) for attempt in trail):
                return self.paused(tx, claim.step, text)
        return self.refused() if isinstance(error, TokenRefused) else ()

    def _trail(self, view: View, claim: Claim) -> Sequence[Attempt]:
        """The tries in a row before this one that the world refused, newest first."""
        trail: list[Attempt] = []
        for attempt in reversed(view.attempts(claim.step.kind, claim.step.subject)):
            if attempt.fence == claim.step.fence and attempt.step_id == claim.step.id:
                continue
            if _ended(attempt, NO_SENDER) or _ended(attempt, STOPS):
                continue  # it was not tried
            if not (_ended(attempt, TRANSIENT) or _ended(attempt, PAUSED)):
                break
            trail.append(attempt)
        return trail


def _ended(attempt: Attempt, how: str) -> bool:
    return (attempt.outcome or "").startswith(GIVEN_BACK + how)


def _what(claim: Claim) -> tuple[str, str]:
    step = claim.step
    if step.kind is StepKind.ANNOUNCE and step.lock:
        return "notice to channel", step.lock.removeprefix("announce:")
    return step.kind.value, step.subject
