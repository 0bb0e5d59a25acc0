"""A rollback returns to what was proven, and to nothing else (P5)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from proctor.core.errors import Refused
from proctor.core.names import Revision, short
from proctor.core.promotion import Promotion, PromotionStatus
from proctor.core.run import StepKind
from proctor.flow.runs import new_promotion, start_promotion

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.flow.conftest import Walkthrough

    from proctor.flow.ask import Asked


def done(walk: Walkthrough, asked: Asked) -> None:
    for step in asked.wake:
        walk.queue.wake(step)
    walk.settle()


def moved_by_hand(walk: Walkthrough, stage: str, revision: Revision) -> None:
    walk.hub.move_tag(walk.repo, stage, revision)
    walk.settle()


def promotions(walk: Walkthrough, stage: str) -> Sequence[Promotion]:
    """Newest first."""
    with walk.ledger.view() as view:
        return view.promotions(hub_id=walk.repo.hub_id, stage=stage)


@pytest.mark.parametrize("accepted", [False, True])
def test_what_a_person_put_there_is_never_gone_back_to(walk: Walkthrough, accepted: bool) -> None:
    first, good = walk.pushed_and_settled(), walk.pushed_and_settled(0.95)
    failed = walk.pushed_and_settled(0.1)
    moved_by_hand(walk, "prod", failed)
    done(walk, walk.ask.release("acme/bot", "prod", accept=accepted, by="ada"))
    if accepted:
        good = walk.pushed_and_settled(0.97)
    assert walk.tags()["prod"] == good
    with pytest.raises(Refused, match=f"no verdict ever put {failed}") as refusal:
        walk.ask.rollback("acme/bot", "prod", failed, by="ada")
    assert f"choose with --to: {short(first)}" in str(refusal.value)
    assert short(failed) not in str(refusal.value).partition(";")[2]
    before = len(walk.tags())
    done(walk, walk.ask.rollback("acme/bot", "prod", None, by="ada"))
    assert walk.tags()["prod"] not in (failed, good)
    assert len(walk.tags()) == before + 1
    assert failed not in walk.tags().values()


def test_from_a_persons_choice_it_leads_to_the_last_proven_one(walk: Walkthrough) -> None:
    walk.pushed_and_settled()
    good, failed = walk.pushed_and_settled(0.95), walk.pushed_and_settled(0.1)
    moved_by_hand(walk, "prod", failed)
    done(walk, walk.ask.release("acme/bot", "prod", accept=True, by="ada"))
    done(walk, walk.ask.rollback("acme/bot", "prod", None, by="ada"))
    assert walk.tags()["prod"] == good


def test_it_never_leads_forward(walk: Walkthrough) -> None:
    """Not even where a person went back without us."""
    first, second = walk.pushed_and_settled(), walk.pushed_and_settled(0.95)
    moved_by_hand(walk, "prod", first)
    done(walk, walk.ask.release("acme/bot", "prod", accept=True, by="ada"))
    with pytest.raises(Refused, match=f"choose with --to: {short(second)}$"):
        walk.ask.rollback("acme/bot", "prod", None, by="ada")


def test_a_rollback_to_what_no_verdict_put_there_moves_nothing(walk: Walkthrough) -> None:
    """However it came to be on record."""
    good, failed = walk.pushed_and_settled(), walk.pushed_and_settled(0.1)
    with walk.ledger.transaction() as tx:
        run = walk.run(failed)
        promotion = new_promotion(
            tx, walk.clock, walk.rules, run, "prod", cause="rollback", by="ada"
        )
        walk.queue.wake(start_promotion(tx, walk.clock, promotion))
    walk.settle()
    assert walk.tags() == {"staging": good, "prod": good, "prod-1": good}
    newest = promotions(walk, "prod")[0]
    assert newest.status is PromotionStatus.FAILED
    assert newest.reason == f"{short(failed)} is not proven: no verdict ever put it in prod"


def test_it_names_the_runs_that_will_move_the_stage_on(walk: Walkthrough) -> None:
    first, _ = walk.pushed_and_settled(), walk.pushed_and_settled(0.95)
    coming = walk.push(0.97)
    check = walk.until(StepKind.CHECK)
    asked = walk.ask.rollback("acme/bot", "prod", None, by="ada")
    run = walk.run(coming)
    assert asked.said == (
        f"run {run.id} of {short(coming)} is open and will promote to prod when it passes"
    )
    walk.queue.wake(check)
    done(walk, asked)
    assert walk.tags()["prod"] == coming
    assert first in walk.tags().values()
    walk.pushed_and_settled(0.1)
    assert walk.ask.rollback("acme/bot", "prod", None, by="ada").said == ""


# --- a stage that was left where a person put it


def accepted_and_removed(walk: Walkthrough, choice: Revision) -> str:
    """A person's choice for prod is accepted; then someone removes the tag. Returns the notice."""
    moved_by_hand(walk, "prod", choice)
    done(walk, walk.ask.release("acme/bot", "prod", accept=True, by="ada"))
    walk.hub.remove_tag(walk.repo, "prod")
    walk.settle()
    return walk.channels["team"].sent[-1].text


def test_an_unproven_choice_is_not_put_back_and_the_notice_says_so(walk: Walkthrough) -> None:
    walk.pushed_and_settled()
    failed = walk.pushed_and_settled(0.1)
    told = accepted_and_removed(walk, failed)
    assert f"It does not put back {short(failed)}: no verdict brought it there." in told
    with pytest.raises(Refused, match=f"left at {short(failed)}, where no verdict brought it"):
        walk.ask.release("acme/bot", "prod", accept=False, by="ada")
    good = walk.pushed_and_settled(0.97)  # "the revision that waits, once one does"
    done(walk, walk.ask.release("acme/bot", "prod", accept=False, by="ada"))
    assert walk.tags()["prod"] == good
    assert "To go back" not in walk.channels["team"].sent[-1].text


def test_a_proven_choice_is_put_back(walk: Walkthrough) -> None:
    first, _ = walk.pushed_and_settled(), walk.pushed_and_settled(0.95)
    assert f"{short(first)} again): `proctor release" in accepted_and_removed(walk, first)
    done(walk, walk.ask.release("acme/bot", "prod", accept=False, by="ada"))
    assert walk.tags()["prod"] == first
    told: Any = walk.why(first)
    assert told["runs"][0]["promotions"][-1]["cause"] == "restore"


def test_where_the_tag_is_back_nothing_is_restored(walk: Walkthrough) -> None:
    first = walk.pushed_and_settled()
    walk.hub.remove_tag(walk.repo, "prod")
    walk.settle()
    moved_by_hand(walk, "prod", first)
    asked = walk.ask.release("acme/bot", "prod", accept=False, by="ada")
    assert asked.said == f"prod is at {short(first)} again"
    done(walk, asked)
    assert set(walk.tags()) == {"staging", "prod", "prod-1"}  # no release for nothing
    assert len(promotions(walk, "prod")) == 1


def test_a_move_is_told_under_the_revision_that_it_moves_to(walk: Walkthrough) -> None:
    """Also where the run that it came of is another's, as older records have it."""
    first, second = walk.pushed_and_settled(), walk.pushed_and_settled(0.95)
    with walk.ledger.transaction() as tx:
        made = new_promotion(
            tx, walk.clock, walk.rules, walk.run(second), "prod", cause="rollback", by="ada"
        )
        walk.queue.wake(start_promotion(tx, walk.clock, replace(made, revision=first)))
    walk.settle()
    notice = walk.channels["team"].sent[-1]
    assert (notice.kind, notice.link.rpartition("/")[2]) == ("promotion.rolled_back", first)
    why: Any = walk.why(first)
    assert [(p["cause"], p["revision"]) for p in why["promotions"]] == [("rollback", first)]
    lender: Any = walk.why(second)
    assert [p["cause"] for p in lender["runs"][0]["promotions"]] == ["verdict", "verdict"]
    assert lender["promotions"] == []


def test_a_run_still_waits_for_its_stage_after_another_was_restored(walk: Walkthrough) -> None:
    walk.pushed_and_settled()
    walk.hub.remove_tag(walk.repo, "prod")
    walk.settle()
    second = walk.pushed_and_settled(0.95)  # in staging; waits for prod
    walk.hub.remove_tag(walk.repo, "staging")
    walk.settle()
    done(walk, walk.ask.release("acme/bot", "staging", accept=False, by="ada"))
    assert walk.tags()["staging"] == second
    done(walk, walk.ask.release("acme/bot", "prod", accept=False, by="ada"))
    assert walk.tags()["prod"] == second
