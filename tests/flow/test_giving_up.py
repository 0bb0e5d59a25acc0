"""A step that is given up tells people, once, whoever waits for it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from proctor.core.errors import RevisionGone
from proctor.core.run import RunStatus, Step, StepKind, StepState
from proctor.ports.ledger import Ledger

if TYPE_CHECKING:
    from tests.flow.conftest import MakeWalk, Walkthrough


class Death(BaseException):
    """kill -9."""


class Deadly:
    """Something whose every use is the worker's death."""

    def __getattr__(self, name: str) -> object:
        raise Death


def fatal(walk: Walkthrough, step: Step) -> None:
    """Whoever does the step dies, until it is given up."""
    doing = walk.worker.steps[step.kind]
    dying = replace(doing, ledger=Deadly())  # type: ignore[type-var] # every step is a dataclass
    worker = replace(walk.worker, steps={**walk.worker.steps, step.kind: dying})
    for _ in range(3):
        with suppress(Death):
            worker.perform(step.id)
        walk.clock.advance(walk.worker.lease)
        walk.sweep.once()
    walk.queue.lose_all()
    walk.worker.perform(step.id)
    with walk.ledger.view() as view:
        ended = view.step(step.id)
    assert ended is not None
    assert ended.state is StepState.FAILED
    assert (ended.error or "").startswith("gave up")


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        (StepKind.PLAN, ["step.gave_up"]),
        (StepKind.SYNC, ["run.failed"]),
        (StepKind.JUDGE, ["run.failed"]),
        (StepKind.PROMOTE, ["run.failed"]),
    ],
)
def test_people_are_told_once(walk: Walkthrough, kind: StepKind, told: list[str]) -> None:
    sha = walk.push()
    fatal(walk, walk.until(kind))
    walk.settle()
    assert walk.told() == told
    assert "gave up: the worker died 3 times" in walk.channels["team"].sent[0].text
    if kind is not StepKind.PLAN:
        assert walk.run(sha).status is RunStatus.FAILED


def test_a_sync_that_no_run_waits_for(walk: Walkthrough) -> None:
    sha = walk.push()
    step = walk.until(StepKind.SYNC)
    walk.pushed_and_settled(0.95)
    assert walk.run(sha).status is RunStatus.SUPERSEDED
    before = walk.told()
    again = _ask(walk.ledger, replace(step, id="again", due_at=walk.clock.now()))
    fatal(walk, again)
    walk.settle()
    assert walk.told()[len(before) :] == ["step.gave_up"]
    assert f"sync of acme/bot@{sha[:8]}" in walk.channels["team"].sent[-1].title


def test_a_revision_that_is_gone_and_that_nobody_waits_for_is_no_news(walk: Walkthrough) -> None:
    walk.push()
    step = walk.until(StepKind.SYNC)
    walk.pushed_and_settled(0.95)
    before = walk.told()
    walk.hub.fail_next("describe", RevisionGone("squashed"))
    walk.queue.wake(_ask(walk.ledger, replace(step, id="again", due_at=walk.clock.now())))
    walk.settle()
    assert walk.told() == before


@pytest.mark.parametrize("kind", [StepKind.JUDGE, StepKind.PROMOTE])
def test_a_step_of_what_has_ended(walk: Walkthrough, kind: StepKind) -> None:
    sha = walk.push()
    step = walk.until(kind)
    walk.queue.wake(step)
    walk.settle()
    before = walk.told()
    fatal(walk, _ask(walk.ledger, replace(step, id="again", due_at=walk.clock.now())))
    walk.settle()
    assert walk.told()[len(before) :] == ["step.gave_up"]
    assert f"acme/bot@{sha[:8]}" in walk.channels["team"].sent[-1].title
    assert walk.run(sha).status is RunStatus.PROMOTED


def test_of_a_repo_that_no_pipeline_covers_nobody_is_told(make_walk: MakeWalk) -> None:
    walk = make_walk(name="zoo/cat")
    walk.push()
    fatal(walk, walk.until(StepKind.PLAN))
    walk.settle()
    assert walk.dispositions() == ["rejected"]
    assert walk.told() == walk.told("log") == []


def _ask(ledger: Ledger, step: Step) -> Step:
    with ledger.transaction() as tx:
        return tx.add_step(step)
