"""Several pipelines look at one repo: whose verdict opens a stage (P5)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from proctor.core.errors import Refused
from proctor.core.gate import AtLeast
from proctor.core.rule import CheckSpec, Match, Pipeline, Rules
from proctor.core.run import RunStatus, StepKind
from proctor.flow.runs import new_promotion, start_promotion

if TYPE_CHECKING:
    from tests.flow.conftest import MakeWalk, Walkthrough

CHEAP = Pipeline(
    "cheap", Match("acme/*"), (CheckSpec("card", "card"),), (AtLeast("card/complete", 1),), ()
)


def promoted(walk: Walkthrough, revision: str, stage: str) -> None:
    for step in walk.ask.promote("acme/bot", revision, stage, by="ada").wake:
        walk.queue.wake(step)
    walk.settle()


def test_the_verdict_of_another_pipeline_is_no_proof(make_walk: MakeWalk, rules: Rules) -> None:
    walk = make_walk(replace(rules, pipelines=(*rules.pipelines, CHEAP)))
    weak = walk.pushed_and_settled(0.1)
    assert {r.pipeline: r.status for r in walk.runs(weak)} == {
        "chat": RunStatus.HELD,
        "cheap": RunStatus.PROMOTED,
    }
    for stage in ("staging", "prod"):
        with pytest.raises(Refused, match=r"is not proven: run \w+ \(chat\) says fail"):
            walk.ask.promote("acme/bot", weak, stage, by="ada")
    assert walk.tags() == {}


def test_a_promotion_on_record_by_another_pipelines_verdict_moves_nothing(
    make_walk: MakeWalk, rules: Rules
) -> None:
    walk = make_walk(replace(rules, pipelines=(*rules.pipelines, CHEAP)))
    weak = walk.pushed_and_settled(0.1)
    cheap = next(r for r in walk.runs(weak) if r.pipeline == "cheap")
    with walk.ledger.transaction() as tx:
        promotion = new_promotion(
            tx, walk.clock, walk.rules, cheap, "staging", cause="promote", by="ada"
        )
        walk.queue.wake(start_promotion(tx, walk.clock, promotion))
    walk.settle()
    assert walk.tags() == {}


@pytest.mark.parametrize("strict", [0.8, 0.95])
def test_a_stage_that_no_pipeline_promotes_to_needs_the_word_of_all(
    make_walk: MakeWalk, rules: Rules, strict: float
) -> None:
    chat = replace(rules.pipelines[0], gate=(AtLeast("full/acc", strict),), promote=())
    walk = make_walk(replace(rules, pipelines=(chat, CHEAP)))
    sha = walk.pushed_and_settled(0.9)
    if strict > 0.9:
        with pytest.raises(Refused, match=r"\(chat\) says fail"):
            walk.ask.promote("acme/bot", sha, "staging", by="ada")
    else:
        promoted(walk, sha, "staging")
        assert walk.tags() == {"staging": sha}


@pytest.mark.parametrize("acc", [0.9, 0.1])
def test_where_two_pipelines_promote_to_a_stage_both_have_to_pass(
    make_walk: MakeWalk, rules: Rules, acc: float
) -> None:
    """The quick one waits for the slow one."""
    quick = replace(CHEAP, promote=("staging",), notify=("team",))
    walk = make_walk(replace(rules, pipelines=(quick, *rules.pipelines)))
    sha = walk.push(acc)
    while (step := walk.until(StepKind.CHECK)).queue != "eval":
        walk.worker.perform(step.id)
    walk.drain()
    (waits,) = (s for s in walk.open_steps() if s.kind is StepKind.PROMOTE)
    assert waits.error is not None and "waits for a verdict: run" in waits.error
    assert walk.tags() == {}
    with pytest.raises(Refused, match=r"\(chat\) is checking and has no verdict"):
        walk.ask.promote("acme/bot", sha, "staging", by="ada")
    walk.settle()
    status = {r.pipeline: r.status for r in walk.runs(sha)}
    if acc > 0.8:
        assert status == {"cheap": RunStatus.PROMOTED, "chat": RunStatus.PROMOTED}
        assert walk.tags()["prod"] == sha
    else:
        assert status == {"cheap": RunStatus.FAILED, "chat": RunStatus.HELD}
        assert walk.tags() == {}


def test_a_pipeline_that_looks_elsewhere_has_no_say(make_walk: MakeWalk, rules: Rules) -> None:
    dev = replace(
        CHEAP, name="dev", match=Match("acme/*", ref="refs/heads/dev"), promote=("staging",)
    )
    walk = make_walk(replace(rules, pipelines=(*rules.pipelines, dev)))
    good = walk.pushed_and_settled(0.9)
    assert walk.tags()["staging"] == good
    sha = walk.hub.commit(walk.repo, {"model.safetensors": b"dev"}, ref="refs/heads/dev")
    walk.settle()
    assert walk.tags()["staging"] == sha
    # On main it has to pass there too, and to prod it never was promoted.
    with pytest.raises(Refused, match="no pipeline that decides on prod looks at a ref"):
        walk.ask.promote("acme/bot", sha, "prod", by="ada")
    walk.finds(sha, 0.1)
    walk.hub.set_ref(walk.repo, "refs/heads/main", sha)
    walk.settle()
    promoted(walk, good, "staging")
    with pytest.raises(Refused, match=r"\(chat\) says fail"):
        walk.ask.promote("acme/bot", sha, "staging", by="ada")


def test_a_pipeline_that_is_new_has_a_say_in_what_was_pushed_before(
    make_walk: MakeWalk, rules: Rules
) -> None:
    walk = make_walk(replace(rules, pipelines=(CHEAP,)))
    sha = walk.pushed_and_settled(0.1)
    walk.configure(rules)
    with pytest.raises(Refused, match=r"pipeline chat has not judged it; .*--pipeline chat"):
        walk.ask.promote("acme/bot", sha, "staging", by="ada")
