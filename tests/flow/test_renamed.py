"""A repo renamed in the middle of its walk is followed by its id; whoever has its old name by then
is left alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.flow.test_half_moved import prod_step

from proctor.core.errors import RepoGone
from proctor.core.names import Repo, RepoType
from proctor.core.run import RunStatus, Step, StepKind
from proctor.flow.follow import LOOKED_FOR

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.flow.conftest import Walkthrough

    from proctor.ports.check import Room, Subject


def at_the_sync(walk: Walkthrough) -> Step:
    """About to record the revision."""
    return walk.until(StepKind.SYNC)


def at_the_eval(walk: Walkthrough) -> Step:
    """About to download the revision and measure it."""

    def download(_: Subject, room: Room) -> None:
        room.snapshot()

    walk.checks["full"].during = download
    while (step := walk.until(StepKind.CHECK)).queue != "eval":
        walk.worker.perform(step.id)
    return step


def at_the_promotion(walk: Walkthrough) -> Step:
    """About to move the first tag."""
    return walk.until(StepKind.PROMOTE)


POINTS = [at_the_sync, at_the_eval, at_the_promotion]


def renamed(walk: Walkthrough) -> tuple[Repo, Repo]:
    """The repo under its new name, and a stranger's under the old one."""
    ours = walk.hub.rename(walk.repo, "acme/robot")
    return ours, walk.hub.create_repo(RepoType.MODEL, "acme/bot")


@pytest.mark.parametrize("point", POINTS)
def test_a_rename_costs_no_run_although_the_old_name_is_a_strangers(
    walk: Walkthrough, point: Callable[[Walkthrough], Step]
) -> None:
    walk.pushed_and_settled()
    second = walk.push(0.95)
    step = point(walk)
    ours, theirs = renamed(walk)
    walk.worker.perform(step.id)
    walk.settle()
    assert walk.run(second).status is RunStatus.PROMOTED
    assert walk.tags(ours)["prod"] == second
    assert walk.tags(theirs) == {}
    assert "run.failed" not in walk.told()


@pytest.mark.parametrize("taken", [False, True])
@pytest.mark.parametrize("call", ["create_tag", "delete_tag"])
def test_half_moved_it_is_moved_on_under_its_new_name(
    walk: Walkthrough, call: str, taken: bool
) -> None:
    walk.pushed_and_settled()
    second = walk.push(0.95)
    step = prod_step(walk)
    if call == "create_tag":
        walk.hub.before_next(call, lambda: None)  # the release tag
    found: list[Repo] = []
    walk.hub.before_next(
        call,
        lambda: found.extend(
            renamed(walk) if taken else [walk.hub.rename(walk.repo, "acme/robot")]
        ),
    )
    walk.worker.perform(step.id)
    walk.settle()
    ours, *strangers = found
    assert walk.tags(ours)["prod"] == walk.tags(ours)["prod-2"] == second
    assert walk.run(second).status is RunStatus.PROMOTED
    assert all(walk.tags(theirs) == {} for theirs in strangers)
    assert "stage.held" not in walk.told()


@pytest.mark.parametrize(
    ("point", "call"), [*zip(POINTS, ("describe", "snapshot", "refs"), strict=True)]
)
def test_one_wrong_answer_ends_no_run(
    walk: Walkthrough, point: Callable[[Walkthrough], Step], call: str
) -> None:
    sha = walk.push()
    step = point(walk)
    walk.hub.fail_next(call, RepoGone("the repo does not exist"))
    walk.worker.perform(step.id)
    walk.settle()
    assert walk.run(sha).status is RunStatus.PROMOTED


def test_what_no_look_finds_fails(walk: Walkthrough) -> None:
    sha = walk.push()
    step = at_the_sync(walk)
    walk.hub.delete_repo(walk.repo)
    walk.worker.perform(step.id)
    (waiting,) = [s for s in walk.open_steps() if s.id == step.id]
    assert 0 <= waiting.due_at - walk.clock.now() - LOOKED_FOR <= LOOKED_FOR / 10
    assert "looked for by its id" in (waiting.error or "")
    walk.settle()
    assert walk.run(sha).status is RunStatus.FAILED
    assert walk.run(sha).reason == "there is no model called acme/bot"
