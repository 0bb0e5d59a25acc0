"""Pushes that follow one another closely share an eval."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from proctor.core.names import Revision
from proctor.core.planning import SETTLE
from proctor.core.rule import Rules
from proctor.core.run import Run, RunStatus, StepKind
from proctor.ports.check import Room, Subject

if TYPE_CHECKING:
    from tests.flow.conftest import MakeWalk, Walkthrough


@pytest.mark.parametrize("apart", [0.1, 6.0])
def test_ten_pushes_in_a_minute_cost_at_most_two_evals(walk: Walkthrough, apart: float) -> None:
    first = walk.push()
    pushed = [first]

    def push_nine_more(subject: Subject, room: Room) -> None:
        while len(pushed) < 10:
            walk.clock.advance(apart)
            pushed.append(walk.push(0.95))
            walk.deliver_all()
            walk.drain(walk.worker_named("w2"))
            walk.sweep.once()

    walk.checks["full"].during = push_nine_more
    walk.settle()
    assert [s.revision for s in walk.checks["full"].measured] == [first, pushed[-1]]
    statuses = [walk.run(revision).status for revision in pushed]
    assert statuses == [RunStatus.SUPERSEDED] * 9 + [RunStatus.PROMOTED]
    assert walk.tags()["prod"] == pushed[-1]


def test_a_hundred_pushes_in_ten_bursts_cost_at_most_twenty_evals(walk: Walkthrough) -> None:
    bursts = list[list[Revision]]()

    def push_nine_more(subject: Subject, room: Room) -> None:
        while len(bursts[-1]) < 10:
            walk.clock.advance(2.0)
            bursts[-1].append(walk.push())
            walk.deliver_all()
            walk.drain(walk.worker_named("w2"))

    walk.checks["full"].during = push_nine_more
    for _ in range(10):
        bursts.append([walk.push()])
        walk.settle()
        walk.clock.advance(300)
    assert len(walk.checks["full"].measured) == 20
    assert walk.tags()["prod"] == bursts[-1][-1]
    assert all(walk.run(burst[-1]).status is RunStatus.PROMOTED for burst in bursts)


def test_a_push_after_the_last_one_was_settled_begins_at_once(walk: Walkthrough) -> None:
    walk.pushed_and_settled(0.1)
    assert _run_of(walk, walk.push()).begins_at == walk.clock.now()


def test_a_push_that_overtakes_begins_a_minute_after_the_first(walk: Walkthrough) -> None:
    first = walk.push()
    walk.until(StepKind.CHECK)
    began = walk.clock.now()
    walk.clock.advance(20)
    second = walk.push()
    run = _run_of(walk, second)
    assert run.begins_at == began + SETTLE
    assert walk.run(first).status is RunStatus.SUPERSEDED
    walk.drain()
    assert not walk.checks["card"].measured
    why: Any = walk.why(second)
    assert why["runs"][0]["begins_at"] == began + SETTLE
    (sync,) = why["runs"][0]["steps"]
    assert (sync["kind"], sync["due_at"]) == ("sync", began + SETTLE)
    walk.sweep.once()
    walk.clock.advance(40)
    assert walk.sweep.once().woken == 1  # at once: its own message came too early
    assert walk.drain() > 0
    assert walk.run(second).status is RunStatus.PROMOTED


def test_the_commit_that_makes_a_repo_puts_nothing_off(walk: Walkthrough) -> None:
    repo = walk.hub.create_repo(walk.repo.type, "acme/fresh")
    walk.until(StepKind.CHECK)
    began = walk.clock.now()
    first = walk.push(repo=repo)
    assert _run_of(walk, first).begins_at == began
    second = walk.push(repo=repo)
    assert _run_of(walk, second).begins_at == began + SETTLE
    walk.settle()
    assert walk.run(second).status is RunStatus.PROMOTED


def test_a_persons_rerun_begins_at_once(walk: Walkthrough) -> None:
    first = walk.push()
    walk.until(StepKind.CHECK)
    overtaking = walk.push()
    _run_of(walk, overtaking)
    walk.hub.set_ref(walk.repo, "refs/heads/main", first)
    walk.settle()
    asked = walk.ask.rerun(walk.repo.name, None, None, "ann")
    with walk.ledger.view() as view:
        run = view.run(asked.id)
    assert run is not None
    assert (run.revision, run.begins_at) == (first, walk.clock.now())


def test_another_pipeline_of_the_same_push_need_not_wait(make_walk: MakeWalk, rules: Rules) -> None:
    one = rules.pipelines[0]
    walk = make_walk(rules)
    walk.push()
    walk.until(StepKind.CHECK)
    walk.configure(replace(rules, pipelines=(one, replace(one, name="new", promote=()))))
    began = walk.clock.now()
    second = walk.push()
    for _ in range(3):
        walk.deliver_all()
        walk.drain()
    runs = {r.pipeline: r for r in walk.runs(second)}
    assert {n: r.begins_at - began for n, r in runs.items()} == {"chat": SETTLE, "new": 0.0}
    assert runs["chat"].status is RunStatus.PLANNED
    assert runs["new"].status is RunStatus.PROMOTED
    walk.settle()
    assert {r.status for r in walk.runs(second)} == {RunStatus.PROMOTED}


def _run_of(walk: Walkthrough, revision: Revision) -> Run:
    walk.deliver_all()
    walk.worker.perform(next(s.id for s in walk.open_steps() if s.kind is StepKind.PLAN))
    return walk.run(revision)
