"""A push, from the webhook to the notice: what passes moves on, what does not is held."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from proctor.core.errors import CheckFailed
from proctor.core.evidence import Outcome
from proctor.core.run import RunStatus

if TYPE_CHECKING:
    from tests.flow.conftest import Walkthrough


def test_a_good_push_reaches_prod_with_a_release_tag(walk: Walkthrough) -> None:
    good = walk.pushed_and_settled(0.9)
    assert walk.tags() == {"staging": good, "prod": good, "prod-1": good}
    run = walk.run(good)
    assert run.status is RunStatus.PROMOTED
    assert walk.told() == ["promotion.done", "promotion.done"]
    # the release tag comes before the stage's
    ours = [m.ref for m in walk.hub.moves if m.by == "proctor"]
    assert ours == ["refs/tags/staging", "refs/tags/prod-1", "refs/tags/prod"]


def test_a_weak_push_is_held_with_the_reason_in_plain_words(walk: Walkthrough) -> None:
    weak = walk.pushed_and_settled(0.5)
    run = walk.run(weak)
    assert run.status is RunStatus.HELD
    assert run.reason == "fail: full/acc is 0.5; the gate asks for at least 0.8"
    assert walk.tags() == {}
    assert walk.told() == ["run.held"]


def test_a_regression_leaves_the_stages_where_they_are(walk: Walkthrough) -> None:
    good = walk.pushed_and_settled(0.9)
    regressed = walk.pushed_and_settled(0.7)
    assert walk.tags() == {"staging": good, "prod": good, "prod-1": good}
    assert walk.run(regressed).status is RunStatus.HELD


def test_a_better_push_moves_the_stages_on(walk: Walkthrough) -> None:
    first, second = walk.pushed_and_settled(0.85), walk.pushed_and_settled(0.95)
    assert walk.tags() == {
        "staging": second,
        "prod": second,
        "prod-1": first,
        "prod-2": second,
    }
    heads = {"staging": second, "prod": second}
    assert walk.why(second)["stages"] == heads


def test_a_check_that_cannot_measure_is_no_failed_model(walk: Walkthrough) -> None:
    sha = walk.pushed_and_settled(CheckFailed("the server of hf_secret never came up"))
    run = walk.run(sha)
    assert run.status is RunStatus.HELD
    assert run.reason.startswith(
        "inconclusive: check full could not measure: the server of *** never came up"
    )
    assert walk.tags() == {}
    assert "This says nothing about the model" in walk.channels["team"].sent[0].text


def test_a_check_that_needs_an_errored_one_is_not_run(walk: Walkthrough) -> None:
    walk.checks["smoke"].otherwise = CheckFailed("no tokenizer")
    sha = walk.pushed_and_settled(0.9)
    assert walk.checks["full"].measured == []
    assert walk.run(sha).status is RunStatus.HELD
    with walk.ledger.view() as view:
        evidence = {
            c.name: view.evidence(c.evidence_id)
            for c in view.checks(walk.run(sha).id)
            if c.evidence_id
        }
    assert {n: e.outcome for n, e in evidence.items() if e} == {
        "card": Outcome.MEASURED,
        "smoke": Outcome.ERRORED,
        "full": Outcome.ERRORED,
    }
    full = evidence["full"]
    assert full is not None
    assert full.error == "not run: check smoke, which it needs, could not measure"


def test_each_check_measures_the_pushed_revision_once(walk: Walkthrough) -> None:
    good = walk.pushed_and_settled(0.9)
    for check in walk.checks.values():
        assert [s.revision for s in check.measured] == [good]
    assert walk.checks["full"].measured[0].repo == walk.repo


def test_why_explains_the_whole_walk(walk: Walkthrough) -> None:
    good = walk.pushed_and_settled(0.9)
    why = walk.why(good)
    (run,) = _list(why["runs"])
    assert run["status"] == "promoted"
    assert [c["name"] for c in _list(run["checks"])] == ["card", "smoke", "full"]
    assert [c["attempts"][0]["outcome"] for c in _list(run["checks"])] == ["done"] * 3
    assert run["verdict"]["result"] == "pass"
    assert [p["stage"] for p in _list(run["promotions"])] == ["staging", "prod"]
    assert [o["tag"] for o in _list(run["promotions"][1]["operations"])] == ["prod-1", "prod"]
    push, *echoes = _list(why["events"])
    assert push["disposition"] == "ran"
    assert run["id"] in push["reason"]
    assert [e["disposition"] for e in echoes] == ["echo"] * 3
    assert why == walk.why()


def _list(value: object) -> list[dict[str, Any]]:
    assert isinstance(value, list)
    return value


@pytest.mark.parametrize("acc", [0.9, 0.5])
def test_nothing_more_happens_when_all_is_said_again(walk: Walkthrough, acc: float) -> None:
    sha = walk.pushed_and_settled(acc)
    before, said = walk.tags(), walk.told()
    for mail in list(walk.sent):
        walk.deliver(mail)
        walk.deliver(mail)
    walk.look()
    walk.settle()
    assert walk.tags() == before
    assert walk.told() == said
    assert len(walk.runs(sha)) == 1
    assert len(walk.checks["full"].measured) == 1
