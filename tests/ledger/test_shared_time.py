"""Hosts whose clocks differ, on one database: nobody takes work from the living."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from proctor.clock import HostsClock
from proctor.core.run import Step, StepKind
from proctor.ledger import SqlLedger, open_ledger
from proctor.ledger.time import EVERY, SharedTime

LEASE = 60.0


class OffClock(HostsClock):
    """The clock of a machine that is `off` seconds ahead."""

    def __init__(self, off: float) -> None:
        super().__init__()
        self.off = off

    def machine(self) -> float:
        return time.time() + self.off


def _host(url: str, off: float) -> tuple[SqlLedger, OffClock]:
    clock = OffClock(off)
    return open_ledger(url, clock, clock.correct), clock


@pytest.mark.parametrize("off", [-3600.0, 3600.0])
def test_a_host_with_another_clock_sees_who_lives(postgres_url: str, off: float) -> None:
    ours, right = _host(postgres_url, 0.0)
    theirs, wrong = _host(postgres_url, off)
    assert abs(wrong.ahead + off) < 30
    with theirs.transaction() as tx:
        step = tx.add_step(Step(wrong.new_id(), StepKind.PLAN, "one", "io", wrong.now()))
    claim = ours.claim(step.id, "ours", LEASE)
    assert claim is not None, "what one host asks for is due on the other"
    assert not theirs.expired(wrong.now())
    assert ours.expired(right.now() + LEASE + 5), "and yet a lease ends"
    ours.close()
    theirs.close()


def test_one_machine_keeps_its_own_time(tmp_path: Path) -> None:
    ledger, clock = _host(f"sqlite:///{tmp_path}/ledger.db", 3600.0)
    ledger.ping()
    assert clock.ahead == 0
    ledger.close()


def test_a_clock_that_is_right_is_left_alone(postgres_url: str) -> None:
    def left_alone() -> bool:
        ledger, clock = _host(postgres_url, 0.05)
        ledger.ping()
        ledger.close()
        return clock.ahead == 0

    # Where this process stood still between the answer and its look at the clock, it looks wrong.
    assert any(left_alone() for _ in range(5))


def test_a_look_that_took_long_corrects_no_more_than_it_must() -> None:
    class Standing(HostsClock):
        """The clock of a machine on which this takes no time."""

        def machine(self) -> float:
            return 1_000_000.0

    clock = Standing()
    clock.correct(clock.machine() - 5, within=5.2)
    assert clock.ahead == 0
    clock.correct(clock.machine() - 50, within=2.0)
    assert clock.ahead == -49


def test_the_shared_time_is_asked_for_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    now, heard = [1_000.0], list[float]()
    monkeypatch.setattr("proctor.ledger.time.time", SimpleNamespace(monotonic=lambda: now[0]))

    @contextmanager
    def asking() -> Iterator[Callable[[str], float]]:
        yield lambda _statement: 7.0

    shared = SharedTime(lambda told, _within: heard.append(told))
    for _ in range(3):
        shared.look(asking)
        now[0] += EVERY / 3 - 0.1
    assert heard == [7.0]
    now[0] += 0.5
    shared.look(asking)
    assert heard == [7.0, 7.0]
