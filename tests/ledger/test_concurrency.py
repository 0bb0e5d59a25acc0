"""Many processes on one ledger: nothing is claimed twice, added twice or lost."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import pytest
from tests.ledger.claimant import insist

from proctor.core.errors import LedgerUnavailable
from proctor.core.run import Step, StepKind
from proctor.ledger import SqlLedger, open_ledger
from proctor.ledger.drivers import BUSY_TIMEOUT
from proctor.ports.ledger import Claim
from proctor.testing.contracts.ledger_samples import a_promotion
from proctor.testing.fake_clock import FakeClock


@pytest.fixture
def ledger(url: str) -> Iterator[SqlLedger]:
    """The ledger that this process looks at."""
    ledger = open_ledger(url, FakeClock())
    yield ledger
    ledger.close()


class Crew(Protocol):
    """Does one thing in each of four processes at once; what each said."""

    def __call__(self, what: str, url: str) -> list[list[Any]]: ...


class Claimant(Protocol):
    """A process of its own (`conftest.Claimant`)."""

    process: subprocess.Popen[str]

    def tell(self, *words: str) -> None: ...
    def hear(self) -> Any: ...


def test_no_step_is_claimed_twice_and_no_lock_is_shared(
    ledger: SqlLedger, url: str, crew: Crew
) -> None:
    steps = [
        Step(f"s{n}", StepKind.CHECK, f"k{n}", "eval", 0.0, f"lock-{n % 3}" if n % 2 else "")
        for n in range(120)
    ]
    with ledger.transaction() as tx:
        for step in steps:
            tx.add_step(step)
    ran = [fact for facts in crew("claim_all", url) for fact in facts]
    assert Counter(fact[0] for fact in ran) == Counter(s.id for s in steps)
    for lock in ("lock-0", "lock-1", "lock-2"):
        spans = sorted((began, ended) for _, held, began, ended in ran if held == lock)
        assert len(spans) == 20
        assert all(one[1] <= other[0] for one, other in pairwise(spans))
    with ledger.view() as view:
        assert not view.open_steps()


def test_claims_that_do_not_see_one_another_share_no_lock(ledger: SqlLedger) -> None:
    steps = [Step(name, StepKind.CHECK, name, "eval", 0.0, "same") for name in ("s1", "s2")]
    with ledger.transaction() as tx:
        for step in steps:
            tx.add_step(step)
    with ThreadPoolExecutor(1) as other:
        with ledger.transaction() as tx:
            assert tx.claim("s1", "here", 60.0)
            rival = other.submit(insist, ledger.claim, "s2", "there", 60.0)
            with pytest.raises(TimeoutError):
                rival.result(0.5)  # what it has to know is not committed yet
        assert rival.result(60) is None


def test_a_step_asked_for_by_many_stays_one(ledger: SqlLedger, url: str, crew: Crew) -> None:
    clock = FakeClock()
    stop = threading.Event()
    finished = 0

    def work() -> None:
        nonlocal finished
        ends = time.monotonic() + 120
        # One step is left open at the end, for whoever got no turn until then.
        while (not stop.is_set() or not finished) and time.monotonic() < ends:
            with ledger.view() as view:
                steps = view.open_steps()
            assert len(steps) <= 1
            for step in steps:
                claim = insist(ledger.claim, step.id, "here", 60.0)
                if claim is not None:
                    insist(finish, claim)
                    finished += 1

    def finish(claim: Claim) -> None:
        with ledger.transaction() as tx:
            tx.finish(claim)

    worker = threading.Thread(target=work)
    worker.start()
    crew("ask_again", url)
    stop.set()
    worker.join()
    assert finished
    for step in ledger.due(clock.now()):
        claim = ledger.claim(step.id, "last", 60.0)
        assert claim is not None
        with ledger.transaction() as tx:
            assert tx.finish(claim) is None


def test_one_identity_is_added_once(ledger: SqlLedger, url: str, crew: Crew) -> None:
    said = crew("tell_the_same", url)
    added = Counter(n for facts in said for n, was_added in facts if was_added)
    assert added == Counter(range(50))
    with ledger.view() as view:
        assert len(view.events(limit=1000)) == 50


def test_kill_loses_nothing_committed(ledger: SqlLedger, url: str, claimant: Claimant) -> None:
    claimant.tell("write_until_killed", url, "w")
    heard = [claimant.hear() for _ in range(40)]
    claimant.process.kill()
    rest, _ = claimant.process.communicate()
    heard += [json.loads(line) for line in rest.splitlines(keepends=True) if line.endswith("\n")]
    deadline = time.monotonic() + 60  # PostgreSQL may still be ending the last transaction
    while True:
        with ledger.view() as view:
            stored = {d.id for d in view.deliveries(limit=100_000)}
        if len(stored) % 2 == 0 or time.monotonic() > deadline:
            break
    assert {f"w-{n}-{part}" for n in heard for part in "ab"} <= stored
    assert len(stored) in (2 * len(heard), 2 * len(heard) + 2)


def test_a_writer_in_the_way_is_waited_for_not_for_ever(tmp_path: Path, claimant: Claimant) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    ledger = open_ledger(url, FakeClock())
    claimant.tell("hold_the_lock", url, "w")
    assert claimant.hear() == "held"
    began = time.monotonic()
    with pytest.raises(LedgerUnavailable, match="locked"):
        ledger.claim("s1", "here", 60.0)
    assert BUSY_TIMEOUT * 0.8 < time.monotonic() - began < BUSY_TIMEOUT + 30
    with ledger.view() as view:  # readers are not in the way
        assert not view.events()
    claimant.tell("let go")
    assert claimant.hear() is None
    with ledger.view() as view:
        assert [e.id for e in view.events()] == ["w"]
    assert ledger.claim("s1", "here", 60.0) is None
    ledger.close()


def test_release_numbers_are_never_shared(ledger: SqlLedger) -> None:
    def promote(name: str) -> None:
        for n in range(10):
            insist(promote_one, f"{name}-{n}")

    def promote_one(id: str) -> None:
        with ledger.transaction() as tx:
            release = f"prod-{tx.next_release('r1', 'prod')}"
            tx.add(replace(a_promotion(id), release=release))

    threads = [threading.Thread(target=promote, args=(f"t{n}",)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with ledger.view() as view:
        releases = {p.release for p in view.promotions()}
    assert releases == {f"prod-{n}" for n in range(1, 31)}


def test_a_fork_opens_its_own_connections(ledger: SqlLedger) -> None:
    ledger.ping()
    script = """
import os, sys
from proctor.ledger import SqlLedger
from proctor.testing.contracts.ledger_samples import a_promotion
from proctor.testing.fake_clock import FakeClock
ledger = SqlLedger(sys.argv[1], FakeClock())
ledger.ping()
mine = ledger._engine()
child = os.fork()
if child == 0:
    ledger.ping()
    os._exit(0 if ledger._engine() is not mine else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
ledger.ping()
assert ledger._engine() is mine
ledger.close()
"""
    subprocess.run([sys.executable, "-W", "error", "-c", script, ledger.url], check=True)
