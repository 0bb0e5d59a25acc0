"""What people ask for by hand: roll back, promote. The rules bind them too."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from proctor.core.errors import Refused
from proctor.core.gate import AtLeast
from proctor.core.names import short
from proctor.core.promotion import PromotionStatus
from proctor.core.rule import CheckSpec, Match, Pipeline, Rules, Stage
from proctor.core.run import RunStatus, StepKind
from proctor.flow.runs import new_promotion, start_promotion

if TYPE_CHECKING:
    from tests.flow.conftest import MakeWalk, Walkthrough

# --- rollback


def rolled_back(walk: Walkthrough, stage: str, to: str | None = None) -> None:
    for step in walk.ask.rollback("acme/bot", stage, to, by="ada").wake:
        walk.queue.wake(step)
    walk.settle()


def test_rollback_returns_to_the_revision_before(walk: Walkthrough) -> None:
    first, second = walk.pushed_and_settled(), walk.pushed_and_settled(0.95)
    rolled_back(walk, "prod")
    assert walk.tags() == {
        "staging": second,
        "prod": first,
        "prod-1": first,
        "prod-2": second,
        "prod-3": first,
    }
    assert walk.run(second).status is RunStatus.PROMOTED
    assert walk.told()[-1] == "promotion.rolled_back"
    walk.look()
    walk.settle()
    assert walk.tags()["prod"] == first  # the look does not undo it
    rolled_back(walk, "prod", to=second[:10])
    assert walk.tags()["prod"] == second


def test_rolling_back_twice_leads_two_revisions_back(walk: Walkthrough) -> None:
    first, second, _ = (walk.pushed_and_settled(score) for score in (0.91, 0.93, 0.95))
    rolled_back(walk, "prod")
    assert walk.tags()["prod"] == second
    rolled_back(walk, "prod")
    assert walk.tags()["prod"] == first
    with pytest.raises(Refused, match=f"in prod of acme/bot before {short(first)}, where"):
        walk.ask.rollback("acme/bot", "prod", None, by="ada")


def test_rollback_to_what_was_there_before_proctor_is_refused(walk: Walkthrough) -> None:
    adopted = walk.push(0.1)
    walk.hub.move_tag(walk.repo, "prod", adopted)
    walk.settle()
    good = walk.pushed_and_settled()
    assert walk.tags()["prod"] == good
    for to in (None, adopted):
        with pytest.raises(Refused, match="there is nothing to go back to"):
            walk.ask.rollback("acme/bot", "prod", to, by="ada")


def test_rollback_needs_no_verdict_under_the_new_gate(walk: Walkthrough, rules: Rules) -> None:
    first = walk.pushed_and_settled()
    walk.pushed_and_settled(0.95)
    pipeline = replace(rules.pipelines[0], gate=(AtLeast("full/acc", 0.99),))
    walk.configure(replace(rules, pipelines=(pipeline,)))
    rolled_back(walk, "prod")
    assert walk.tags()["prod"] == first


def test_a_refused_rollback_says_what_there_is_to_choose_from(walk: Walkthrough) -> None:
    first = walk.pushed_and_settled()
    with pytest.raises(Refused) as refusal:
        walk.ask.rollback("acme/bot", "prod", None, by="ada")
    assert str(refusal.value) == (
        f"no verdict put anything in prod of acme/bot before {short(first)}, where it is now; "
        "there is nothing to go back to"
    )
    second = walk.pushed_and_settled(0.95)
    with pytest.raises(Refused, match=f"put {'0' * 12} in prod .* --to: {short(first)}$"):
        walk.ask.rollback("acme/bot", "prod", "0" * 12, by="ada")
    rolled_back(walk, "prod")
    with pytest.raises(Refused, match=f"before {short(first)}.* --to: {short(second)}$"):
        walk.ask.rollback("acme/bot", "prod", None, by="ada")


def test_rollback_of_a_held_stage_is_refused(walk: Walkthrough) -> None:
    walk.pushed_and_settled()
    walk.pushed_and_settled(0.95)
    walk.hub.remove_tag(walk.repo, "prod")
    walk.settle()
    with pytest.raises(Refused, match="prod is held"):
        walk.ask.rollback("acme/bot", "prod", None, by="ada")


@pytest.mark.parametrize("digits", [6, 40])
def test_rollback_to_where_the_stage_is_already_is_refused(walk: Walkthrough, digits: int) -> None:
    walk.pushed_and_settled()
    now = walk.pushed_and_settled(0.95)
    with pytest.raises(Refused, match=f"prod of acme/bot is already at {short(now)}"):
        walk.ask.rollback("acme/bot", "prod", now[:digits], by="ada")


def test_rollback_to_the_beginning_of_several_revisions_is_refused(walk: Walkthrough) -> None:
    shas = [walk.pushed_and_settled()]
    while len({sha[0] for sha in shas[:-1]}) == len(shas[:-1]):
        shas.append(walk.pushed_and_settled())
    before = shas[:-1]
    shared = next(s[0] for s in before if sum(b[0] == s[0] for b in before) > 1)
    with pytest.raises(Refused, match=f"{shared} is the beginning of several revisions: "):
        walk.ask.rollback("acme/bot", "prod", shared, by="ada")


# --- promote


def test_promote_by_hand_of_a_proven_revision(walk: Walkthrough, rules: Rules) -> None:
    pipeline = replace(rules.pipelines[0], promote=("staging",))
    walk.configure(replace(rules, pipelines=(pipeline,)))
    good = walk.pushed_and_settled()
    assert walk.tags() == {"staging": good}
    for step in walk.ask.promote("acme/bot", good[:8], "prod", by="ada").wake:
        walk.queue.wake(step)
    walk.settle()
    assert walk.tags() == {"staging": good, "prod": good, "prod-1": good}
    assert walk.channels["team"].sent[-1].text.startswith("Promoted by ada.")
    assert walk.run(good).status is RunStatus.PROMOTED


def test_promote_without_a_passing_verdict_is_refused(walk: Walkthrough) -> None:
    weak = walk.pushed_and_settled(0.1)
    with pytest.raises(Refused, match="says fail"):
        walk.ask.promote("acme/bot", weak, "staging", by="ada")
    unjudged = walk.push(0.9)
    walk.until(StepKind.CHECK)
    with pytest.raises(Refused, match="is checking and has no verdict"):
        walk.ask.promote("acme/bot", unjudged, "staging", by="ada")
    with pytest.raises(Refused, match="no run of acme/bot@0000"):
        walk.ask.promote("acme/bot", "0000", "staging", by="ada")
    assert walk.tags() == {}


def test_a_promotion_that_no_verdict_bears_out_moves_nothing(walk: Walkthrough) -> None:
    """However it came to be on record."""
    weak = walk.pushed_and_settled(0.1)
    with walk.ledger.transaction() as tx:
        promotion = new_promotion(
            tx, walk.clock, walk.rules, walk.run(weak), "staging", cause="promote", by="ada"
        )
        walk.queue.wake(start_promotion(tx, walk.clock, promotion))
    walk.settle()
    assert walk.tags() == {}
    with walk.ledger.view() as view:
        found = view.promotion(promotion.id)
    assert found is not None and found.status is PromotionStatus.FAILED
    run = walk.run(weak)
    assert found.reason == f"{short(weak)} is not proven: run {run.id} (chat) says fail"


def test_promote_after_a_newer_verdict_that_says_fail_is_refused(
    walk: Walkthrough, rules: Rules
) -> None:
    walk.configure(replace(rules, pipelines=(replace(rules.pipelines[0], promote=()),)))
    sha = walk.pushed_and_settled(0.9)
    walk.finds(sha, 0.1)
    for step in walk.ask.rerun("acme/bot", None, None, by="ada").wake:
        walk.queue.wake(step)
    walk.settle()
    assert [run.status for run in walk.runs(sha)] == [RunStatus.HELD, RunStatus.PROMOTED]
    with pytest.raises(Refused, match="says fail"):
        walk.ask.promote("acme/bot", sha, "staging", by="ada")


def test_promote_to_where_the_revision_is_already_is_refused(walk: Walkthrough) -> None:
    good = walk.pushed_and_settled()
    with pytest.raises(Refused, match=f"prod of acme/bot is already at {short(good)}"):
        walk.ask.promote("acme/bot", good, "prod", by="ada")
    walk.settle()
    assert walk.tags() == {"staging": good, "prod": good, "prod-1": good}


def test_promote_out_of_order_is_refused(walk: Walkthrough, rules: Rules) -> None:
    walk.configure(replace(rules, pipelines=(replace(rules.pipelines[0], promote=()),)))
    good = walk.pushed_and_settled()
    with pytest.raises(Refused, match="has not been in staging, which comes before prod"):
        walk.ask.promote("acme/bot", good, "prod", by="ada")


def test_promote_under_a_changed_gate_is_refused(walk: Walkthrough, rules: Rules) -> None:
    walk.configure(replace(rules, pipelines=(replace(rules.pipelines[0], promote=()),)))
    good = walk.pushed_and_settled()
    pipeline = replace(rules.pipelines[0], gate=(AtLeast("full/acc", 0.5),))
    walk.configure(replace(rules, pipelines=(pipeline,)))
    with pytest.raises(Refused, match="passed under another gate"):
        walk.ask.promote("acme/bot", good, "staging", by="ada")


def test_a_gate_changed_between_verdict_and_promotion_moves_nothing(
    walk: Walkthrough, rules: Rules
) -> None:
    good = walk.push()
    step = walk.until(StepKind.PROMOTE)
    pipeline = replace(rules.pipelines[0], gate=(AtLeast("full/acc", 0.99),))
    walk.configure(replace(rules, pipelines=(pipeline,)))
    walk.worker.perform(step.id)
    walk.settle()
    assert walk.tags() == {}
    assert walk.run(good).status is RunStatus.FAILED
    assert "changed after the verdict" in walk.run(good).reason


def test_checks_changed_while_they_ran_prove_nothing_under_the_new_ones(
    walk: Walkthrough, rules: Rules
) -> None:
    good = walk.push()
    walk.until(StepKind.JUDGE)
    old = rules.pipelines[0]
    harder = replace(old.checks[1], parameters={"limit": 5000})
    pipeline = replace(old, checks=(old.checks[0], harder, old.checks[2]))
    walk.configure(replace(rules, pipelines=(pipeline,)))
    walk.settle()
    assert walk.tags() == {}
    assert walk.run(good).status is RunStatus.FAILED


def test_a_promotion_under_way_excludes_another(walk: Walkthrough) -> None:
    walk.pushed_and_settled()
    walk.push(0.95)
    walk.until(StepKind.PROMOTE)
    with pytest.raises(Refused, match="a promotion to staging is under way"):
        walk.ask.rollback("acme/bot", "staging", None, by="ada")


def test_a_promotion_by_hand_does_not_end_the_run_that_goes_on(make_walk: MakeWalk) -> None:
    """A side stage, asked for while the run is between its own stages."""
    pipeline = Pipeline(
        "chat",
        Match("acme/*"),
        (CheckSpec("full", "full"),),
        (AtLeast("full/acc", 0.8),),
        ("staging", "prod"),
        ("team",),
    )
    stages = (Stage("canary"), Stage("staging"), Stage("prod", "staging"))
    walk = make_walk(Rules(stages, (pipeline,)))
    good = walk.push()
    own = walk.until(StepKind.PROMOTE)
    asked = walk.ask.promote("acme/bot", good, "canary", by="ada")
    walk.worker.perform(asked.wake[0].id)
    assert walk.tags() == {"canary": good}
    assert walk.run(good).status is RunStatus.PROMOTING
    walk.queue.wake(own)
    walk.settle()
    assert walk.run(good).status is RunStatus.PROMOTED
    assert walk.tags()["prod"] == good
