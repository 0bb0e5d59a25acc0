"""People and looks at the same moment: on PostgreSQL, where transactions run side by side."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest
from tests.flow.conftest import Walkthrough
from tests.patience import patient

from proctor.core.errors import Refused
from proctor.core.run import RunStatus, StepKind
from proctor.flow.ask import Asked
from proctor.ledger import SqlLedger, open_ledger
from proctor.ports.ledger import Ledger, Transaction


@pytest.fixture
def walk(tmp_path: Path, postgres_url: str) -> Iterator[Walkthrough]:
    """The usual walk, on PostgreSQL."""
    made = Walkthrough(tmp_path, ledger=lambda clock: open_ledger(patient(postgres_url), clock))
    yield made
    made.close()


@dataclass(slots=True)
class Interrupted:
    """A ledger in whose transactions something happens once, just before the first call of
    `method`."""

    ledger: SqlLedger
    method: str
    act: Callable[[], object] | None

    def __getattr__(self, name: str) -> object:
        return getattr(self.ledger, name)

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        with self.ledger.transaction() as tx:
            yield cast("Transaction", _Watched(tx, self))


@dataclass(frozen=True, slots=True)
class _Watched:
    tx: Transaction
    owner: Interrupted

    def __getattr__(self, name: str) -> object:
        if name == self.owner.method and self.owner.act is not None:
            act, self.owner.act = self.owner.act, None
            act()
        return getattr(self.tx, name)


def look_with(walk: Walkthrough, method: str, ask: Callable[[], Asked]) -> Asked | Exception:
    """A look, during which a person asks: just before the look calls `method` in its
    transaction. What the person was told."""
    with ThreadPoolExecutor(1) as pool:
        asked: list[Future[Asked]] = []

        def meanwhile() -> None:
            asked.append(pool.submit(ask))
            threading.Event().wait(1.0)  # it has ended by then, or waits for our commit

        ledger = cast("Ledger", Interrupted(walk.ledger, method, meanwhile))
        step = walk.until(StepKind.PLAN)
        assert walk.worker_named("w2", ledger=ledger).perform(step.id)
        (future,) = asked
        error = future.exception(60)
        if isinstance(error, Exception):
            return error
        told = future.result()
    for woken in told.wake:
        walk.queue.wake(woken)
    return told


def moved_by_hand(walk: Walkthrough, content: bytes) -> str:
    """A person points staging at another commit."""
    sha = walk.hub.commit(walk.repo, {"notes.md": content}, ref="refs/heads/hers")
    walk.hub.move_tag(walk.repo, "staging", sha)
    return sha


@pytest.mark.parametrize("method", ["known_repo", "save"])
def test_a_hold_that_is_settled_during_a_look_is_not_put_back(
    walk: Walkthrough, method: str
) -> None:
    """Before the look locks anything, and right before it writes the hold."""
    walk.pushed_and_settled()
    moved_by_hand(walk, b"1")
    walk.settle()
    last = moved_by_hand(walk, b"2")
    told = look_with(
        walk, method, lambda: walk.ask.release("acme/bot", "staging", accept=True, by="ada")
    )
    assert isinstance(told, Asked), told
    walk.settle()
    with walk.ledger.view() as view:
        settled = next(h for h in view.holds(in_force=False) if h.id == told.id)
        head = view.stage_head(walk.repo.hub_id, "staging")
        in_force = view.holds()
    assert settled.released_at is not None
    assert head is not None
    # The person saw the tag where it is now, or a hold tells of what they did not see.
    assert head.revision == last or [h.found for h in in_force] == [last]
    (look,) = _last_looks(walk, 1)
    assert look == "done"


def test_a_rerun_during_a_look_that_starts_the_same_run_is_refused(walk: Walkthrough) -> None:
    walk.pushed_and_settled(0.9)
    sha = walk.push(0.1)
    refs = walk.hub.refs(walk.repo)
    assert refs["refs/heads/main"] == sha
    told = look_with(walk, "add", lambda: walk.ask.rerun("acme/bot", None, "chat", by="ada"))
    assert isinstance(told, Refused), told
    assert "is planned now" in str(told)
    walk.settle()
    assert [run.number for run in walk.runs(sha)] == [1]


def all_at_once(ask: Callable[[], Asked]) -> Sequence[Asked | Exception]:
    """Four people ask for the same."""
    ready = threading.Barrier(4)

    def person(_: int) -> Asked | Exception:
        ready.wait(60)
        try:
            return ask()
        except Exception as error:
            return error

    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(person, range(4)))


def one_was_heard(told: Sequence[Asked | Exception], others: str) -> Asked:
    refused = [t for t in told if isinstance(t, Exception)]
    assert [type(e) for e in refused] == [Refused] * 3, refused
    assert all(others in str(e) for e in refused), refused
    return next(t for t in told if isinstance(t, Asked))


def test_of_many_reruns_at_once_one_is_started(walk: Walkthrough) -> None:
    sha = walk.pushed_and_settled(0.1)
    for number in (2, 3):
        told = all_at_once(lambda: walk.ask.rerun("acme/bot", sha, None, by="ada"))
        one = one_was_heard(told, "is planned now")
        for step in one.wake:
            walk.queue.wake(step)
        walk.settle()
        assert [run.number for run in walk.runs(sha)] == list(range(number, 0, -1))


@pytest.mark.parametrize("what", ["promote", "rollback"])
def test_of_many_requests_to_move_a_stage_at_once_one_is_heard(
    walk: Walkthrough, what: str
) -> None:
    first = walk.pushed_and_settled(0.9)
    second = walk.pushed_and_settled(0.95)
    asks = {
        "promote": lambda: walk.ask.promote("acme/bot", first, "prod", by="ada"),
        "rollback": lambda: walk.ask.rollback("acme/bot", "prod", None, by="ada"),
    }
    one = one_was_heard(all_at_once(asks[what]), "a promotion to prod is under way")
    for step in one.wake:
        walk.queue.wake(step)
    walk.settle()
    assert walk.tags()["prod"] == first
    assert walk.run(second).status is RunStatus.PROMOTED
    assert "prod-4" not in walk.tags()


def _last_looks(walk: Walkthrough, number: int) -> list[str | None]:
    with walk.ledger.view() as view:
        attempts = view.attempts(StepKind.PLAN, walk.repo.hub_id)
    return [attempt.outcome for attempt in attempts[-number:]]
