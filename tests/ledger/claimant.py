"""A process of its own that works on ledgers, for tests with real processes.

Reads lines of JSON, [what to do, URL, name]; answers with lines of JSON, null at the end of each.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from proctor.core.errors import LedgerUnavailable
from proctor.core.event import Delivery, Disposition, Event
from proctor.core.names import RepoType
from proctor.core.run import Step, StepKind
from proctor.ledger import SqlLedger
from proctor.ledger.migrate import upgrade
from proctor.ports.ledger import Claim

P = ParamSpec("P")
T = TypeVar("T")


class WallClock:
    """The clock of this machine."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    def new_id(self) -> str:
        return f"{time.time_ns():020x}{os.getpid():06x}"

    def random(self) -> float:
        return 0.5


def say(fact: object) -> None:
    sys.stdout.write(json.dumps(fact) + "\n")
    sys.stdout.flush()


def wait_for_the_others() -> None:
    """Go on when each process of the crew has come this far."""
    say("waiting")
    sys.stdin.readline()


def insist(act: Callable[P, T], *args: P.args, **more: P.kwargs) -> T:
    """What it gives, once nobody is in the way: on a slow machine the others may be for longer than
    a writer waits. Of any other trouble, a deadlock say, the ledger's users must hear nothing."""
    ends = time.monotonic() + 120
    while True:
        try:
            return act(*args, **more)
        except LedgerUnavailable as error:
            waited = any(words in str(error) for words in ("is locked", "lock timeout"))
            if not waited or time.monotonic() > ends:
                raise


def claim_all(ledger: SqlLedger, name: str) -> None:
    """Claim, finish, and note who ran what when, until nothing is open.

    After its first step each waits for the others, or the slow would find nothing to claim.
    """
    waited = False
    while steps := ledger.due(time.time() + 1):
        for step in steps:
            claim = insist(ledger.claim, step.id, name, 60.0)
            if claim is None:
                continue
            began = time.monotonic()
            time.sleep(0.002)
            say([step.id, claim.step.lock, began, time.monotonic()])
            insist(finish, ledger, claim)
            if not waited:
                wait_for_the_others()
                waited = True


def finish(ledger: SqlLedger, claim: Claim) -> None:
    """It is done."""
    with ledger.transaction() as tx:
        tx.finish(claim)


def tell_the_same(ledger: SqlLedger, name: str) -> None:
    """Tell fifty events that others tell too."""

    def tell(event: Event) -> bool:
        with ledger.transaction() as tx:
            return tx.add_event(event)

    for n in range(50):
        where = (RepoType.MODEL, "r1", "acme/bot")
        event = Event(f"{name}-{n}", f"same-{n}", "webhook", 0.0, "update", "repo", *where)
        say([n, insist(tell, event)])


def write_until_killed(ledger: SqlLedger, name: str) -> None:
    """Commit deliveries, and say which are committed."""
    n = 0
    while True:
        n += 1
        with ledger.transaction() as tx:
            for part in "ab":
                told = (0.0, None, (), b"x", Disposition.PENDING, "", None)
                tx.add_deliveries([Delivery(f"{name}-{n}-{part}", *told)])
        say(n)


def ask_again(ledger: SqlLedger, name: str) -> None:
    """Ask for the one step over and over, while others claim it."""

    def ask(step: Step) -> None:
        with ledger.transaction() as tx:
            tx.add_step(step)

    for n in range(100):
        insist(ask, Step(f"{name}-{n}", StepKind.PLAN, "r1", "io", 0.0))
    say("asked")


def hold_the_lock(ledger: SqlLedger, name: str) -> None:
    """Keep a write transaction open until the next line."""
    with ledger.transaction() as tx:
        where = (RepoType.MODEL, "r1", "acme/bot")
        tx.add_event(Event(name, name, "webhook", 0.0, "update", "repo", *where))
        say("held")
        sys.stdin.readline()


def bring_up_to_date(ledger: SqlLedger, name: str) -> None:
    """Migrate, while others do."""
    upgrade(ledger.url)
    ledger.ping()
    say(name)


ACTS = (
    claim_all,
    tell_the_same,
    write_until_killed,
    ask_again,
    hold_the_lock,
    bring_up_to_date,
)


def main() -> None:
    say("ready")
    for line in sys.stdin:
        what, url, name = json.loads(line)
        ledger = SqlLedger(url, WallClock())
        next(act for act in ACTS if act.__name__ == what)(ledger, name)
        ledger.close()
        say(None)


if __name__ == "__main__":
    main()
