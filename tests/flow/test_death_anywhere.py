"""A worker may die between any two effects: before or after a call to the Hub, a commit or a
send. The next one takes the step up, and the end is the same (P1, P2, P4)."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from proctor.core.run import StepKind
from proctor.ports.hub import Hub
from proctor.ports.ledger import Ledger, Transaction
from proctor.ports.notifier import Notifier

if TYPE_CHECKING:
    from tests.flow.conftest import MakeWalk, Walkthrough

SHARED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
# A walk is slow for a single example: shrinking would take minutes.
PHASES = [Phase.explicit, Phase.reuse, Phase.generate]


class Death(BaseException):
    """kill -9."""


class Fate:
    """Kills at the given points, counted over a whole walk."""

    def __init__(self, at: set[int]) -> None:
        self._at, self.points, self.deaths = at, 0, 0

    def point(self) -> None:
        self.points += 1
        if self.points in self._at:
            self.deaths += 1
            raise Death


class Mortal:
    """Anything, with a point to die at before and after each call."""

    def __init__(self, inner: object, fate: Fate) -> None:
        self._inner, self._fate = inner, fate

    def __getattr__(self, name: str) -> Callable[..., Any]:
        call: Callable[..., Any] = getattr(self._inner, name)

        def mortal(*args: object, **kwargs: object) -> object:
            self._fate.point()
            answer = call(*args, **kwargs)
            self._fate.point()
            return answer

        return mortal


class MortalLedger(Mortal):
    """Transactions: to die before the first write, before the commit, and after it."""

    def __init__(self, inner: Ledger, fate: Fate) -> None:
        super().__init__(inner, fate)
        self._ledger = inner
        self.view = inner.view

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        with self._ledger.transaction() as tx:
            self._fate.point()
            yield tx
            self._fate.point()
        self._fate.point()


@dataclass(frozen=True, slots=True)
class End:
    """All that must not depend on who died when."""

    tags: dict[str, str]
    runs: list[tuple[str, str, str]]
    stages: dict[str, str]
    promotions: Sequence[tuple[str, str, str, str]]
    moves: set[tuple[str, str | None]]
    notices: set[str]
    rows: dict[str, int]
    dispositions: list[str]


def end_of(walk: Walkthrough) -> End:
    sent = walk.channels["team"].sent
    with walk.ledger.view() as view:
        heads = {h.stage: h.revision for h in view.stage_heads(walk.repo.hub_id)}
        promotions = [
            (p.stage, p.revision, p.release, p.status.value)
            for p in view.promotions(hub_id=walk.repo.hub_id)
        ]
        assert not view.holds()
        assert not view.unmatched_operations(walk.repo.hub_id)
    return End(
        tags={**walk.tags()},
        runs=[(r.revision, r.status.value, r.reason) for r in walk.runs()],
        stages={**heads},
        promotions=promotions,
        moves={(m.ref, m.new) for m in walk.hub.moves if m.by == "proctor"},
        notices={n.title for n in sent},
        rows={t: _count(walk, t) for t in ("verdicts", "evidence", "operations", "outbox")},
        dispositions=sorted(walk.dispositions()),
    )


def _count(walk: Walkthrough, table: str) -> int:
    path = walk.ledger.url.removeprefix("sqlite:///")
    with closing(sqlite3.connect(path)) as connection:
        (count,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608 - our own constant
    return int(count)


def mortal_life(walk: Walkthrough, fate: Fate) -> None:
    """Settle, with a worker that dies at its fate's points and is then started anew."""
    lives = 0
    while True:
        lives += 1
        worker = walk.worker_named(
            f"w{lives}",
            ledger=cast("Ledger", MortalLedger(walk.ledger, fate)),
            hub=cast("Hub", Mortal(walk.hub, fate)),
            send=lambda name: cast("Notifier", Mortal(walk.channels[name], fate)),
        )
        try:
            walk.settle(worker, rounds=200)
        except Death:
            continue
        return


def walked(walk: Walkthrough, fate: Fate) -> End:
    """A good push, a weak one, a better one; each settled before the next."""
    for acc in (0.9, 0.5, 0.95):
        walk.push(acc)
        mortal_life(walk, fate)
    return end_of(walk)


@pytest.fixture
def undisturbed(make_walk: MakeWalk) -> tuple[End, int]:
    """How it ends when nobody dies, and how many points to die at there are."""
    fate = Fate(set())
    return walked(make_walk(), fate), fate.points


@given(draw=st.data())
@settings(max_examples=20, deadline=None, suppress_health_check=SHARED, phases=PHASES)
def test_death_at_any_points_changes_nothing(
    make_walk: MakeWalk, undisturbed: tuple[End, int], draw: st.DataObject
) -> None:
    end, points = undisturbed
    deaths = draw.draw(st.sets(st.integers(1, points), min_size=1, max_size=3))
    fate = Fate(deaths)
    assert walked(make_walk(), fate) == end
    assert fate.deaths >= 1  # a later point may be gone: a death can spare a look


def test_death_at_every_point_of_a_promotion_changes_nothing(make_walk: MakeWalk) -> None:
    """One after the other: the whole move of prod, with its release tag."""

    def promoted(at: int) -> tuple[End, Fate]:
        walk = make_walk()
        walk.pushed_and_settled(0.9)
        walk.push(0.95)
        walk.worker.perform(walk.until(StepKind.PROMOTE).id)
        walk.queue.wake(walk.until(StepKind.PROMOTE))
        fate = Fate({at})
        mortal_life(walk, fate)
        return end_of(walk), fate

    end, fate = promoted(0)
    assert fate.points > 30
    for at in range(1, 36):
        found, died = promoted(at)
        assert found == end, f"died at point {at}"
        assert died.deaths == 1
