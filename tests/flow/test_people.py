"""A human outranks the machine; but the rules bind people's requests too."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from proctor.core.errors import Refused
from proctor.core.names import Revision, short
from proctor.core.rule import Rules
from proctor.core.run import RunStatus, StepKind

if TYPE_CHECKING:
    from tests.flow.conftest import MakeWalk, Walkthrough


def hers(walk: Walkthrough, tag: str) -> Revision:
    """A person points a tag at a commit of her own branch."""
    sha = walk.hub.commit(walk.repo, {"notes.md": b"mine"}, ref="refs/heads/hers")
    walk.hub.move_tag(walk.repo, tag, sha)
    return sha


def holds(walk: Walkthrough) -> list[str]:
    with walk.ledger.view() as view:
        return [h.reason for h in view.holds(hub_id=walk.repo.hub_id)]


# --- holds


def test_a_moved_tag_is_noticed_told_once_and_never_overwritten(walk: Walkthrough) -> None:
    first = walk.pushed_and_settled()
    mine = hers(walk, "staging")
    walk.settle()
    assert holds(walk) == [
        f"tag staging points at {short(mine)}; Proctor left it at {short(first)}"
    ]
    second = walk.pushed_and_settled(0.95)
    walk.look()
    walk.settle()
    assert walk.tags()["staging"] == mine
    assert walk.run(second).status is RunStatus.WAITING
    assert walk.told().count("stage.held") == 1
    why: Any = walk.why(second)
    assert why["holds"][0]["stage"] == "staging"
    assert why["runs"][0]["status"] == "waiting"
    assert "staging points at" in why["runs"][0]["reason"]


@pytest.mark.parametrize("call", ["refs", "delete_tag"])
def test_a_tag_moved_between_the_look_and_our_write_is_held(walk: Walkthrough, call: str) -> None:
    walk.pushed_and_settled()
    second = walk.push(0.95)
    step = walk.until(StepKind.PROMOTE)
    walk.hub.before_next(call, lambda: hers_of.append(hers(walk, "staging")))
    hers_of: list[Revision] = []
    walk.worker.perform(step.id)
    walk.settle()
    assert walk.tags()["staging"] == hers_of[0]
    assert walk.run(second).status is RunStatus.WAITING
    assert walk.told().count("stage.held") == 1


def test_a_removed_tag_is_a_hold_too(walk: Walkthrough) -> None:
    walk.pushed_and_settled()
    walk.hub.remove_tag(walk.repo, "prod")
    walk.settle()
    second = walk.pushed_and_settled(0.95)
    assert "prod" not in walk.tags()
    assert walk.tags()["staging"] == second
    assert walk.run(second).status is RunStatus.WAITING
    assert "prod-2" not in walk.tags()


def test_a_hold_stays_until_it_is_released_even_when_the_tag_is_back(walk: Walkthrough) -> None:
    first = walk.pushed_and_settled()
    hers(walk, "staging")
    walk.settle()
    walk.hub.move_tag(walk.repo, "staging", first)
    second = walk.pushed_and_settled(0.95)
    assert walk.tags()["staging"] == first
    run = walk.run(second)
    assert run.status is RunStatus.WAITING
    assert run.reason == holds(walk)[0]
    assert holds(walk) == [f"tag staging points at {short(first)} again, where Proctor left it"]
    assert walk.told().count("stage.held") == 1
    released(walk, accept=False)
    assert walk.tags()["staging"] == second  # from where the person left it
    assert walk.run(second).status is RunStatus.PROMOTED


def released(walk: Walkthrough, *, accept: bool) -> str:
    """A person settles the hold on staging; what they are told."""
    asked = walk.ask.release("acme/bot", "staging", accept=accept, by="ada")
    for step in asked.wake:
        walk.queue.wake(step)
    walk.settle()
    return asked.said


def seen_half_way(walk: Walkthrough) -> Revision:
    """A person moves the tag as the Hub's API allows, and a look comes in between; returns where
    the tag is then."""
    walk.pushed_and_settled()
    walk.hub.remove_tag(walk.repo, "staging")
    walk.settle()
    assert ["is gone" in reason for reason in holds(walk)] == [True]
    return hers(walk, "staging")


def test_a_hold_follows_the_tag_and_is_told_once(walk: Walkthrough) -> None:
    mine = seen_half_way(walk)
    walk.settle()
    assert len(holds(walk)) == 1
    assert f"tag staging points at {short(mine)}" in holds(walk)[0]
    assert walk.told().count("stage.held") == 1


@pytest.mark.parametrize("waits", [False, True])
def test_accept_takes_the_tag_where_it_is_when_it_is_said(walk: Walkthrough, waits: bool) -> None:
    mine = seen_half_way(walk)
    walk.settle()
    if waits:
        walk.pushed_and_settled(0.95)
    assert released(walk, accept=True) == f"staging is accepted at {short(mine)}"
    assert head_of_staging(walk) == mine
    third = walk.pushed_and_settled(0.99)
    assert walk.tags()["staging"] == third


def test_accept_takes_what_a_look_saw_while_a_promotion_was_open(walk: Walkthrough) -> None:
    """Such a look leaves the stages to the promotion, which then stops at the hold."""
    walk.pushed_and_settled()
    walk.hub.remove_tag(walk.repo, "staging")
    walk.settle()
    second = walk.push(0.95)
    step = walk.until(StepKind.PROMOTE)
    walk.clock.advance(1)
    mine = hers(walk, "staging")
    walk.deliver_all()
    walk.drain()
    walk.queue.wake(step)
    walk.settle()
    assert walk.run(second).status is RunStatus.WAITING
    assert released(walk, accept=True) == f"staging is accepted at {short(mine)}"
    assert head_of_staging(walk) == mine


def test_accept_of_what_was_only_passing_is_noticed_at_once(walk: Walkthrough) -> None:
    mine = seen_half_way(walk)
    walk.mail.clear()  # no webhook tells of the second half
    assert released(walk, accept=True) == "staging is accepted as gone: it points nowhere"
    assert holds(walk) == [f"tag staging points at {short(mine)}; not by Proctor"]
    assert released(walk, accept=True) == f"staging is accepted at {short(mine)}"
    assert holds(walk) == []
    assert head_of_staging(walk) == mine


def test_accept_of_a_hold_newer_than_the_last_look(walk: Walkthrough) -> None:
    """Found by a promotion, which reads the tags itself."""
    walk.pushed_and_settled()
    walk.push(0.95)
    step = walk.until(StepKind.PROMOTE)
    walk.clock.advance(1)
    mine = hers(walk, "staging")
    walk.mail.clear()
    walk.worker.perform(step.id)
    assert released(walk, accept=True) == f"staging is accepted at {short(mine)}"
    assert head_of_staging(walk) == mine


def head_of_staging(walk: Walkthrough) -> Revision | None:
    with walk.ledger.view() as view:
        head = view.stage_head(walk.repo.hub_id, "staging")
    return head.revision if head else None


def test_a_tag_that_was_there_before_us_is_adopted(walk: Walkthrough) -> None:
    old = walk.hub.refs(walk.repo)["refs/heads/main"]
    walk.hub.move_tag(walk.repo, "staging", old)
    good = walk.pushed_and_settled()
    assert walk.tags()["staging"] == good
    assert holds(walk) == []


def test_a_tag_that_appears_after_the_first_look_and_before_ours_is_held(
    walk: Walkthrough,
) -> None:
    weak = walk.pushed_and_settled(0.1)
    good = walk.push(0.9)
    step = walk.until(StepKind.PROMOTE)
    walk.hub.move_tag(walk.repo, "staging", weak)
    walk.worker.perform(step.id)
    walk.settle()
    assert walk.tags() == {"staging": weak}
    assert walk.run(good).status is RunStatus.WAITING


def test_our_own_moves_are_never_taken_for_a_persons(walk: Walkthrough) -> None:
    """The look reads refs from before a promotion, and records after it."""
    walk.pushed_and_settled()
    second = walk.push(0.95)
    promote = walk.until(StepKind.PROMOTE)
    walk.look()
    (look,) = [s for s in walk.queue.take() if s.kind is StepKind.PLAN]
    stale = dict(walk.hub.refs(walk.repo))
    other = walk.worker_named("w2", hub=Stale(walk, stale, promote.id))
    other.perform(look.id)
    walk.settle()
    assert holds(walk) == []
    assert walk.run(second).status is RunStatus.PROMOTED


class Stale:
    """A Hub whose `refs` is read, and then a whole promotion happens before it is used."""

    def __init__(self, walk: Walkthrough, refs: dict[str, Revision], step_id: str) -> None:
        self._walk, self._refs, self._step_id = walk, refs, step_id

    def refs(self, repo: object) -> dict[str, Revision]:
        self._walk.worker.perform(self._step_id)
        return self._refs

    def __getattr__(self, name: str) -> Any:
        return getattr(self._walk.hub, name)


class LateHold(Stale):
    """A Hub whose `refs` is read, and then a promotion finds a person's tag before it is used."""

    def refs(self, repo: object) -> dict[str, Revision]:
        hers(self._walk, "staging")
        asked = self._walk.ask.rollback("acme/bot", "staging", None, by="ada")
        self._walk.worker.perform(asked.wake[0].id)
        return self._refs


def test_a_look_that_is_older_than_a_hold_does_not_change_it(walk: Walkthrough) -> None:
    walk.pushed_and_settled()
    walk.pushed_and_settled(0.95)
    stale = dict(walk.hub.refs(walk.repo))
    walk.look()
    (look,) = walk.queue.take()
    walk.worker_named("w2", hub=LateHold(walk, stale, "")).perform(look.id)
    mine = walk.tags()["staging"]
    assert f"points at {short(mine)}" in holds(walk)[0]
    walk.settle()
    assert f"points at {short(mine)}" in holds(walk)[0]


# --- release


def held_with_a_run_waiting(walk: Walkthrough) -> tuple[Revision, Revision, Revision]:
    first = walk.pushed_and_settled()
    mine = hers(walk, "staging")
    walk.settle()
    second = walk.pushed_and_settled(0.95)
    assert walk.run(second).status is RunStatus.WAITING
    return first, mine, second


def test_accept_keeps_the_tag_and_ends_the_run_for_good(walk: Walkthrough) -> None:
    first, mine, second = held_with_a_run_waiting(walk)
    walk.ask.release("acme/bot", "staging", accept=True, by="ada")
    for _ in range(2):
        walk.look()
        walk.settle()
    assert walk.tags() == {"staging": mine, "prod": first, "prod-1": first}
    run = walk.run(second)  # one run: it was not started again
    assert run.status is RunStatus.HELD
    assert run.reason == "ada kept staging where it was put by hand"
    assert holds(walk) == []


def test_after_accept_the_next_good_push_moves_on_from_there(walk: Walkthrough) -> None:
    held_with_a_run_waiting(walk)
    walk.ask.release("acme/bot", "staging", accept=True, by="ada")
    third = walk.pushed_and_settled(0.99)
    assert walk.tags()["staging"] == walk.tags()["prod"] == third
    assert walk.run(third).status is RunStatus.PROMOTED


def test_restore_lets_the_run_that_waits_go_on(walk: Walkthrough) -> None:
    _, _, second = held_with_a_run_waiting(walk)
    for step in walk.ask.release("acme/bot", "staging", accept=False, by="ada").wake:
        walk.queue.wake(step)
    walk.settle()
    assert walk.tags()["staging"] == walk.tags()["prod"] == second
    assert walk.run(second).status is RunStatus.PROMOTED
    assert walk.told().count("stage.held") == 1


def test_restore_without_a_waiting_run_puts_our_revision_back(walk: Walkthrough) -> None:
    first = walk.pushed_and_settled()
    hers(walk, "staging")
    walk.settle()
    for step in walk.ask.release("acme/bot", "staging", accept=False, by="ada").wake:
        walk.queue.wake(step)
    walk.settle()
    assert walk.tags()["staging"] == first
    assert holds(walk) == []
    assert walk.run(first).status is RunStatus.PROMOTED
    assert walk.channels["team"].sent[-1].text.startswith("Restored by ada.")


def test_a_tag_moved_again_after_restore_is_held_again_and_can_be_restored(
    walk: Walkthrough,
) -> None:
    first = walk.pushed_and_settled()
    hers(walk, "staging")
    walk.settle()
    asked = walk.ask.release("acme/bot", "staging", accept=False, by="ada")
    again = hers(walk, "staging")
    for step in asked.wake:
        walk.queue.wake(step)
    walk.settle()
    assert walk.tags()["staging"] == again
    assert len(holds(walk)) == 1
    for step in walk.ask.release("acme/bot", "staging", accept=False, by="ada").wake:
        walk.queue.wake(step)
    walk.settle()
    assert walk.tags()["staging"] == first


def test_accepting_a_removed_tag_leaves_the_stage_empty(walk: Walkthrough) -> None:
    walk.pushed_and_settled()
    walk.hub.remove_tag(walk.repo, "staging")
    walk.settle()
    walk.ask.release("acme/bot", "staging", accept=True, by="ada")
    walk.look()
    walk.settle()
    assert "staging" not in walk.tags()
    assert holds(walk) == []
    third = walk.pushed_and_settled(0.95)
    assert walk.tags()["staging"] == third


def test_two_waiting_pipelines_both_go_on(make_walk: MakeWalk, rules: Rules) -> None:
    one = rules.pipelines[0]
    other = replace(one, name="other", promote=("staging",), notify=("other",))
    walk = make_walk(replace(rules, pipelines=(one, other)))
    walk.pushed_and_settled()
    hers(walk, "staging")
    walk.settle()
    second = walk.pushed_and_settled(0.95)
    assert {r.status for r in walk.runs(second)} == {RunStatus.WAITING}
    for step in walk.ask.release("acme/bot", "staging", accept=False, by="ada").wake:
        walk.queue.wake(step)
    walk.settle()
    assert {r.status for r in walk.runs(second)} == {RunStatus.PROMOTED}


def test_release_of_what_is_not_held_is_refused(walk: Walkthrough) -> None:
    walk.pushed_and_settled()
    with pytest.raises(Refused, match="nothing holds staging of acme/bot"):
        walk.ask.release("acme/bot", "staging", accept=True, by="ada")
    with pytest.raises(Refused, match="there is no stage 'qa'; the stages are staging, prod"):
        walk.ask.release("acme/bot", "qa", accept=True, by="ada")


def test_what_we_never_set_cannot_be_restored(walk: Walkthrough) -> None:
    old = walk.hub.refs(walk.repo)["refs/heads/main"]
    walk.hub.move_tag(walk.repo, "staging", old)
    walk.pushed_and_settled(0.1)
    hers(walk, "staging")
    walk.settle()
    with pytest.raises(Refused, match=f"left at {short(old)}, where no verdict brought it"):
        walk.ask.release("acme/bot", "staging", accept=False, by="ada")
    assert len(holds(walk)) == 1  # refused: the hold stands
    assert f"does not put back {short(old)}" in walk.channels["team"].sent[-1].text


def test_what_was_nowhere_cannot_be_restored(walk: Walkthrough) -> None:
    walk.pushed_and_settled()
    walk.hub.remove_tag(walk.repo, "staging")
    walk.settle()
    released(walk, accept=True)
    hers(walk, "staging")
    walk.settle()
    with pytest.raises(Refused, match="staging of acme/bot was nowhere before it was put"):
        walk.ask.release("acme/bot", "staging", accept=False, by="ada")
    assert "--restore" not in walk.channels["team"].sent[-1].text
    assert len(holds(walk)) == 1  # refused: the hold stands
