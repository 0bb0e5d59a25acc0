"""Pushes that overtake each other, pipelines side by side, and events that say nothing new."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from proctor.core.names import Revision
from proctor.core.promotion import PromotionStatus
from proctor.core.rule import Match, Rules
from proctor.core.run import CheckStatus, RunStatus, Step, StepKind, StepState
from proctor.ports.check import Room, Subject

if TYPE_CHECKING:
    from tests.flow.conftest import MakeWalk, Walkthrough


def test_a_newer_push_supersedes_a_run_in_the_midst_of_a_check(walk: Walkthrough) -> None:
    first = walk.push()
    newer: list[Revision] = []

    def push_meanwhile(subject: Subject, room: Room) -> None:
        if not newer:
            newer.append(walk.push(0.95))
            walk.deliver_all()
            walk.drain(walk.worker_named("w2"))

    walk.checks["full"].during = push_meanwhile
    walk.settle()
    old, new = walk.run(first), walk.run(newer[0])
    assert old.status is RunStatus.SUPERSEDED
    assert old.reason == f"superseded by {newer[0][:8]}"
    assert new.status is RunStatus.PROMOTED
    assert walk.tags() == {"staging": newer[0], "prod": newer[0], "prod-1": newer[0]}
    with walk.ledger.view() as view:
        assert view.verdict(old.id) is None
        checks = {c.name: c.status for c in view.checks(old.id)}
    assert checks["full"] is CheckStatus.CANCELLED
    why: Any = walk.why(first)
    assert why["runs"][0]["status"] == "superseded"


def test_a_promotion_that_has_not_begun_is_cancelled(walk: Walkthrough) -> None:
    walk.push()
    walk.until(StepKind.PROMOTE)  # its message is lost
    second = walk.pushed_and_settled(0.95)
    assert walk.tags() == {"staging": second, "prod": second, "prod-1": second}
    assert {m.new for m in walk.hub.moves if m.by == "proctor"} == {second}
    with walk.ledger.view() as view:
        first = view.promotions(hub_id=walk.repo.hub_id)[-1]
    assert first.status is PromotionStatus.CANCELLED


def test_a_promotion_half_way_ends_before_the_next_begins(walk: Walkthrough) -> None:
    """The tag is removed, the worker dies, a newer push passes meanwhile."""
    walk.pushed_and_settled()
    second = walk.push(0.95)
    step = walk.until(StepKind.PROMOTE)
    walk.hub.before_next("create_tag", _die)
    with suppress(KeyboardInterrupt):
        walk.worker.perform(step.id)
    assert "staging" not in walk.tags()
    walk.clock.advance(60)  # pushes that follow more closely wait
    third = walk.push(0.97)
    for _ in range(8):  # without the lease's end: the third is judged, and waits in line
        walk.deliver_all()
        walk.drain()
    assert walk.run(third).status is RunStatus.PROMOTING
    assert "staging" not in walk.tags()
    walk.clock.advance(60)  # the dead worker's lease
    assert walk.sweep.once().reclaimed == 1
    hints = [s for s in walk.queue.take() if s.kind is StepKind.PROMOTE]
    assert len(hints) == 2
    for hint in reversed(hints):  # the newer one comes first
        walk.worker.perform(hint.id)
    walk.settle()
    assert walk.run(second).status is RunStatus.SUPERSEDED
    assert walk.run(third).status is RunStatus.PROMOTED
    assert walk.tags()["staging"] == walk.tags()["prod"] == third
    assert "stage.held" not in walk.told()
    staging = [m.new for m in walk.hub.moves if m.ref == "refs/tags/staging"]
    assert staging[1:] == [None, second, None, third]


def _die() -> None:
    raise KeyboardInterrupt


def test_the_message_of_an_older_promotion_that_comes_late_harms_nothing(
    walk: Walkthrough,
) -> None:
    first = walk.push()
    walk.until(StepKind.PROMOTE)
    with walk.ledger.view() as view:
        (promotion,) = view.promotions()
        late = next(s for s in view.open_steps() if s.subject == promotion.id)
    second = walk.pushed_and_settled(0.95)
    assert not walk.worker.perform(late.id)
    assert walk.tags()["prod"] == second
    assert walk.run(first).status is RunStatus.SUPERSEDED


def two_pipelines(make_walk: MakeWalk, rules: Rules) -> Walkthrough:
    one = rules.pipelines[0]
    other = replace(one, name="other", match=Match("acme/bot"), promote=(), notify=("other",))
    return make_walk(replace(rules, pipelines=(one, other)))


def test_two_pipelines_run_apart(make_walk: MakeWalk, rules: Rules) -> None:
    walk = two_pipelines(make_walk, rules)
    good = walk.pushed_and_settled()
    assert {r.pipeline: r.status for r in walk.runs(good)} == {
        "chat": RunStatus.PROMOTED,
        "other": RunStatus.PROMOTED,
    }
    assert walk.told("other") == []


def test_the_same_check_of_one_revision_never_runs_twice_at_once(
    make_walk: MakeWalk, rules: Rules
) -> None:
    walk = two_pipelines(make_walk, rules)
    walk.push()
    rivals: list[tuple[int, bool]] = []

    def try_the_other(subject: Subject, room: Room) -> None:
        running = [s for s in walk.open_steps() if s.state is StepState.RUNNING]
        (mine,) = [s for s in running if s.kind is StepKind.CHECK]
        others = [s for s in walk.open_steps() if s.lock == mine.lock and s.id != mine.id]
        second = walk.worker_named("w2")
        rivals.extend((len(others), second.perform(s.id)) for s in others)

    walk.checks["smoke"].during = try_the_other
    walk.settle()
    assert rivals == [(1, False)]
    assert len(walk.checks["smoke"].measured) == 2  # one after the other
    assert {r.status for r in walk.runs()} == {RunStatus.PROMOTED}


def test_one_failing_pipeline_does_not_hold_up_the_other(make_walk: MakeWalk, rules: Rules) -> None:
    one = rules.pipelines[0]
    from_elsewhere = replace(one, name="other", checks=(), gate=(), promote=(), notify=("other",))
    walk = make_walk(replace(rules, pipelines=(from_elsewhere, one)))
    good = walk.pushed_and_settled()
    status = {r.pipeline: (r.status, r.reason) for r in walk.runs(good)}
    assert status["other"] == (RunStatus.HELD, "inconclusive: the gate has no criteria")
    assert status["chat"][0] is RunStatus.PROMOTED


def test_two_pipelines_that_promote_to_the_same_stages_agree(
    make_walk: MakeWalk, rules: Rules
) -> None:
    one = rules.pipelines[0]
    walk = make_walk(replace(rules, pipelines=(one, replace(one, name="twin"))))
    walk.pushed_and_settled()
    second = walk.pushed_and_settled(0.95)
    assert {r.status for r in walk.runs()} == {RunStatus.PROMOTED}
    assert walk.tags()["staging"] == walk.tags()["prod"] == second
    assert "stage.held" not in walk.told()


def test_two_refs_that_promote_to_one_stage_take_turns(make_walk: MakeWalk, rules: Rules) -> None:
    """Each promotion starts from where the other left the tag, not from where it was planned."""
    one = rules.pipelines[0]
    dev = replace(one, name="dev", match=Match("acme/*", ref="refs/heads/dev"))
    walk = make_walk(replace(rules, pipelines=(one, dev)))
    walk.pushed_and_settled()
    on_main = walk.push(0.9)
    on_dev = walk.hub.commit(walk.repo, {"model.safetensors": b"dev"}, ref="refs/heads/dev")
    walk.finds(on_dev, 0.9)
    promotes: list[Step] = []
    for _ in range(20):
        walk.deliver_all()
        for step in walk.queue.take():
            if step.kind is StepKind.PROMOTE:
                promotes.append(step)
            else:
                walk.worker.perform(step.id)
    assert len(promotes) == 2
    for step in promotes:
        walk.queue.wake(step)
    walk.settle()
    assert walk.run(on_main).status is RunStatus.PROMOTED
    assert walk.run(on_dev).status is RunStatus.PROMOTED
    assert "stage.held" not in walk.told()


def test_going_back_to_a_judged_revision_runs_nothing(walk: Walkthrough) -> None:
    first, second = walk.pushed_and_settled(), walk.pushed_and_settled(0.1)
    walk.hub.set_ref(walk.repo, "refs/heads/main", first)
    walk.settle()
    assert len(walk.runs(first)) == len(walk.runs(second)) == 1
    assert walk.dispositions()[-1] == "unchanged"


def test_going_back_to_a_revision_that_was_overtaken_runs_it(walk: Walkthrough) -> None:
    first = walk.push()
    walk.until(StepKind.CHECK)
    walk.pushed_and_settled(0.1)
    walk.hub.set_ref(walk.repo, "refs/heads/main", first)
    walk.settle()
    again, old = walk.runs(first)
    assert (again.number, again.again_of) == (2, old.id)
    assert again.status is RunStatus.PROMOTED
    assert walk.tags()["prod"] == first


def test_the_dispositions_of_a_busy_day(walk: Walkthrough) -> None:
    first = walk.push()
    walk.push()
    third = walk.push()
    walk.hub.open_pull_request(walk.repo, {"x": b"y"})
    walk.settle()
    walk.hub.comment(walk.repo, 1, "nice")
    walk.hub.set_private(walk.repo, True)
    walk.settle()
    events: Any = [e for e in walk.dispositions() if e != "echo"]
    assert events == [
        "superseded",
        "superseded",
        "ran",
        "filtered",  # the pull request's branch
        "filtered",  # the pull request
        "filtered",  # the comment
        "unchanged",  # became private
    ]
    assert walk.runs(first) == []
    assert walk.run(third).status is RunStatus.PROMOTED


def test_a_replayed_delivery_is_a_duplicate_and_looks_all_the_same(walk: Walkthrough) -> None:
    walk.push()
    (mail,) = walk.mail
    walk.deliver_all()
    assert walk.queue.lose_all() == 1
    assert walk.drain() == 0
    walk.deliver(mail)
    assert walk.drain() > 0
    walk.settle()
    with walk.ledger.view() as view:
        kinds = [d.disposition.value for d in view.deliveries(limit=1000)]
    assert kinds.count("duplicate") == 1
    assert walk.runs()[0].status is RunStatus.PROMOTED


def test_a_repo_without_a_pipeline_is_recorded_and_left_alone(make_walk: MakeWalk) -> None:
    walk = make_walk(name="zoo/cat")
    sha = walk.pushed_and_settled()
    assert walk.dispositions() == ["filtered"]
    assert walk.runs() == []
    with walk.ledger.view() as view:
        entry = view.entry(walk.repo.hub_id, sha)
    assert entry is not None
    assert entry.commits[0].revision == sha
    assert walk.why(sha)["runs"] == []


def test_a_pipeline_without_checks_is_inconclusive(make_walk: MakeWalk, rules: Rules) -> None:
    bare = replace(rules.pipelines[0], checks=())
    walk = make_walk(replace(rules, pipelines=(bare,)))
    sha = walk.pushed_and_settled()
    assert walk.run(sha).status is RunStatus.HELD
    assert "no such check ran" in walk.run(sha).reason


def test_the_registry_tells_what_changed(walk: Walkthrough) -> None:
    walk.pushed_and_settled()
    sha = walk.hub.commit(walk.repo, {"README.md": b"# hi"})
    walk.finds(sha, 0.9)
    walk.settle()
    with walk.ledger.view() as view:
        entry = view.entry(walk.repo.hub_id, sha)
        changes = view.ref_changes(walk.repo.hub_id)
    assert entry is not None
    assert entry.changed == ("card",)
    assert {c.ref for c in changes} >= {"refs/heads/main", "refs/tags/prod", "refs/tags/prod-2"}
