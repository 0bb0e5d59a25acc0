"""Order, repetition and loss of webhooks and of queue messages do not matter (P1, P2, P3)."""

from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from proctor.core.errors import CheckFailed
from proctor.core.names import Revision

if TYPE_CHECKING:
    from tests.flow.conftest import MakeWalk, Walkthrough

GOOD, WEAK, BROKEN = 0.9, 0.5, CheckFailed("no")
pushes = st.lists(st.sampled_from([GOOD, WEAK, BROKEN]), min_size=1, max_size=4)

# `make_walk` gives each example a Proctor of its own; only the folder is shared.
SHARED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
# A walk is slow for a single example: shrinking would take minutes.
PHASES = [Phase.explicit, Phase.reuse, Phase.generate]


def nothing_pending_nothing_doubled(walk: Walkthrough) -> None:
    assert not walk.open_steps()
    assert "pending" not in walk.dispositions()
    runs = walk.runs()
    assert all(run.status.ended for run in runs)
    asked = Counter((r.hub_id, r.pipeline, r.revision, r.number) for r in runs)
    assert not [key for key, times in asked.items() if times > 1]
    with walk.ledger.view() as view:
        assert not view.holds()
        for run in runs:
            same = [r for r in runs if r.revision == run.revision]
            assert len(view.verdicts_of(run.hub_id, run.revision)) <= len(same)
    measured = Counter(s.revision for s in walk.checks["full"].measured)
    assert all(times <= len(walk.runs(sha)) for sha, times in measured.items())
    for kind in ("team", "other"):
        sent = walk.channels[kind].sent
        assert len({n.key for n in sent}) == len(sent)


@given(
    accs=pushes,
    copies=st.lists(st.integers(0, 3), min_size=6, max_size=6),
    lost=st.integers(0, 12),
    seed=st.integers(0, 2**16),
)
@settings(max_examples=25, deadline=None, suppress_health_check=SHARED, phases=PHASES)
def test_the_end_depends_only_on_what_was_pushed(
    make_walk: MakeWalk,
    accs: list[float | Exception],
    copies: list[int],
    lost: int,
    seed: int,
) -> None:
    walk, chance = make_walk(), random.Random(seed)
    heads = [walk.push(acc) for acc in accs]
    walk.hub.open_pull_request(walk.repo, {"x": b"y"})
    mail = [m for m, n in zip(walk.mail, copies, strict=False) for _ in range(n)]  # 0: never came
    chance.shuffle(mail)
    walk.mail = mail
    walk.queue.drop_next(lost)
    walk.settle(shuffle=chance)
    walk.reconcile.once()  # for when all were lost
    walk.settle(shuffle=chance)
    last = heads[-1]
    if accs[-1] == GOOD:
        assert walk.tags() == {"staging": last, "prod": last, "prod-1": last}
    else:
        assert walk.tags() == {}
    assert [r.revision for r in walk.runs()] == [last]
    nothing_pending_nothing_doubled(walk)


ACTS = ["push good", "push weak", "deliver", "lose", "replay", "work", "wipe", "wait", "look"]


@given(acts=st.lists(st.sampled_from(ACTS), max_size=30), seed=st.integers(0, 2**16))
@settings(max_examples=25, deadline=None, suppress_health_check=SHARED, phases=PHASES)
def test_whatever_happens_meanwhile_the_last_good_push_ends_in_prod(
    make_walk: MakeWalk, acts: list[str], seed: int
) -> None:
    walk, chance = make_walk(), random.Random(seed)
    good: set[Revision] = set()
    for act in acts:
        do(walk, act, chance, good)
    last = walk.push(GOOD)
    good.add(last)
    walk.mail.clear()  # its own webhook is lost
    walk.reconcile.once()
    walk.settle(shuffle=chance)
    tags = walk.tags()
    assert tags["staging"] == tags["prod"] == last
    releases = {int(t.removeprefix("prod-")): s for t, s in tags.items() if t.startswith("prod-")}
    assert releases[max(releases)] == last
    assert sorted(releases) == list(range(1, len(releases) + 1))
    assert set(releases.values()) <= good
    moved = [m for m in walk.hub.moves if m.by == "proctor" and m.new is not None]
    assert {m.new for m in moved} <= good
    nothing_pending_nothing_doubled(walk)


def do(walk: Walkthrough, act: str, chance: random.Random, good: set[Revision]) -> None:
    match act:
        case "push good":
            good.add(walk.push(GOOD))
        case "push weak":
            walk.push(WEAK)
        case "deliver" if walk.mail:
            walk.deliver(walk.mail.pop(chance.randrange(len(walk.mail))))
        case "lose" if walk.mail:
            walk.mail.pop(chance.randrange(len(walk.mail)))
        case "replay" if walk.sent:
            walk.deliver(chance.choice(walk.sent))
        case "work":
            taken = list(walk.queue.take())
            chance.shuffle(taken)
            for step in taken[:1]:
                walk.worker.perform(step.id)
            for step in taken[1:]:
                walk.queue.wake(step)
        case "wipe":
            walk.queue.lose_all()
        case "wait":
            walk.clock.advance(20)
            walk.sweep.once()
        case "look":
            walk.reconcile.once()
