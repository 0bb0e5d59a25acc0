"""Notices say in plain words what happened, why, and what a person can do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proctor.core import compose
from proctor.core.gate import Reason, Result, Verdict
from proctor.core.names import RepoType, Revision
from proctor.core.notice import Notice, Severity
from proctor.core.promotion import Promotion, PromotionStatus
from proctor.core.record import Hold
from proctor.core.run import Run, RunStatus, Step, StepKind

NEW, OLD, ODD = Revision("a" * 40), Revision("b" * 40), Revision("c" * 40)
LINK = "https://proctor.example/runs/r1"
RUN = Run(
    id="r1",
    hub_id="h1",
    repo_type=RepoType.MODEL,
    repo_name="acme/bot",
    revision=NEW,
    ref="refs/heads/main",
    pipeline="chat",
    created_at=0,
    updated_at=0,
    status=RunStatus.HELD,
)
PROMOTION = Promotion(
    id="p1",
    hub_id="h1",
    run_id="r1",
    stage="prod",
    revision=NEW,
    expected=OLD,
    release="prod-7",
    cause="verdict",
    by="gate",
    created_at=0,
)
HOLD = Hold("d1", "h1", "prod", "tag prod points at cccccccc", found=ODD, expected=OLD, since=0)
STEP = Step("s1", StepKind.PROMOTE, "p1", "io", 0, attempts=8, fence=9, error="the Hub is down")
VERDICT = Verdict(
    Result.FAIL,
    (
        Reason(Result.PASS, "card/license_allowed is 1, ≥ 1 as asked"),
        Reason(Result.INCONCLUSIVE, "full/b/acc: not measured"),
        Reason(Result.FAIL, "full/a/acc is 0.7; the gate asks for at least 0.8"),
    ),
)

ALL = {
    "held": compose.run_held(RUN, VERDICT, LINK),
    "failed": compose.run_failed(replace(RUN, reason="the repo is gone"), LINK),
    "promoted": compose.promoted("acme/bot", PROMOTION, LINK),
    "rolled back": compose.rolled_back("acme/bot", replace(PROMOTION, by="kim"), LINK),
    "promotion failed": compose.promotion_failed(
        "acme/bot", replace(PROMOTION, status=PromotionStatus.FAILED, reason="403"), LINK
    ),
    "stage held": compose.stage_held("acme/bot", HOLD, LINK),
    "gave up": compose.step_gave_up(STEP, "acme/bot prod", LINK),
    "no echo": compose.echo_missing("acme/bot", PROMOTION, LINK),
    "paused": compose.step_paused(STEP, "acme/bot prod", LINK),
    "half moved": compose.half_moved(STEP, "acme/bot prod", LINK),
}


@pytest.mark.parametrize("notice", ALL.values(), ids=ALL)
def test_every_notice_can_stand_alone(notice: Notice) -> None:
    assert notice.link == LINK
    assert "acme/bot" in notice.title
    assert "\n" not in notice.title
    assert len(notice.title) <= 100  # the subject of a mail
    assert notice.text.strip()
    assert all(label and text for label, text in notice.facts)
    assert notice.key.startswith(f"{notice.kind}:")
    assert notice.key.isascii()


def test_keys_tell_facts_apart_and_repetitions_together() -> None:
    assert len({notice.key for notice in ALL.values()}) == len(ALL)
    assert compose.run_held(RUN, VERDICT, "").key == ALL["held"].key == "run.held:r1"
    assert compose.step_gave_up(replace(STEP, fence=17), "x", "").key != ALL["gave up"].key


def test_a_held_run_tells_the_decisive_reasons_first() -> None:
    notice = ALL["held"]
    assert notice.severity is Severity.WARNING
    assert ALL["failed"].severity is Severity.FAILURE
    assert notice.title == "acme/bot@aaaaaaaa did not pass"
    lines = notice.text.splitlines()
    assert [line[0] for line in lines[:3]] == ["✗", "?", "✓"]
    assert "0.7; the gate asks for at least 0.8" in lines[0]
    assert "proctor rerun acme/bot@aaaaaaaa" in lines[-1]
    assert ("verdict", "fail") in notice.facts


def test_an_inconclusive_verdict_does_not_blame_the_model() -> None:
    verdict = Verdict(Result.INCONCLUSIVE, (Reason(Result.INCONCLUSIVE, "no such check ran"),))
    notice = compose.run_held(RUN, verdict, "")
    assert notice.severity is Severity.WARNING
    assert "could not be judged" in notice.title
    assert "says nothing about the model" in notice.text


def test_a_new_repo_is_no_alarm() -> None:
    notice = compose.run_held(RUN, VERDICT, "", bare=True)
    assert notice.severity is Severity.INFO
    assert notice.title == "acme/bot@aaaaaaaa holds nothing to measure yet"
    assert "0.7; the gate asks for" in notice.text


def test_a_failed_run_tells_its_reason() -> None:
    assert "the repo is gone" in ALL["failed"].text
    assert "No reason was recorded" in compose.run_failed(RUN, "").text


def test_a_promotion_tells_the_way_back() -> None:
    notice = ALL["promoted"]
    assert notice.severity is Severity.SUCCESS
    assert notice.title == "acme/bot@aaaaaaaa is in prod"
    assert "bbbbbbbb before" in notice.text
    assert "proctor rollback acme/bot prod" in notice.text
    assert ("release tag", "prod-7") in notice.facts


def test_a_promotion_that_moved_nothing_says_so() -> None:
    notice = compose.promoted("acme/bot", replace(PROMOTION, expected=NEW), "")
    assert notice.text == "It passed the gate. It was there already."


def test_a_way_back_that_leads_elsewhere_is_not_told() -> None:
    notice = compose.promoted("acme/bot", PROMOTION, "", undoable=False)
    assert notice.text == "It passed the gate. It pointed at bbbbbbbb before."


def test_a_first_promotion_has_no_way_back() -> None:
    first = replace(PROMOTION, expected=None, release="")
    notice = compose.promoted("acme/bot", first, "")
    assert "rollback" not in notice.text
    assert "nowhere before" in notice.text
    assert "release tag" not in dict(notice.facts)


@pytest.mark.parametrize(
    ("cause", "told"), [("promote", "Promoted by kim"), ("restore", "Restored")]
)
def test_a_promotion_by_a_person_names_them(cause: str, told: str) -> None:
    assert told in compose.promoted("acme/bot", replace(PROMOTION, cause=cause, by="kim"), "").text


def test_a_rollback_tells_what_was_left() -> None:
    notice = ALL["rolled back"]
    assert notice.title == "acme/bot: prod is back at aaaaaaaa"
    assert "by kim" in notice.text
    assert "left bbbbbbbb" in notice.text


def test_a_hold_tells_both_ways_out() -> None:
    text = ALL["stage held"].text
    assert "points at cccccccc: `proctor release acme/bot prod --accept`" in text
    assert "bbbbbbbb again" in text
    assert "`proctor release acme/bot prod --restore`" in text


def test_a_hold_of_a_removed_tag_says_so() -> None:
    notice = compose.stage_held("acme/bot", replace(HOLD, found=None), "")
    assert "is gone" in notice.text
    assert ("tag now", "none") in notice.facts


def test_a_hold_of_a_tag_that_was_never_ours_cannot_be_restored() -> None:
    text = compose.stage_held("acme/bot", replace(HOLD, expected=None), "").text
    assert "--restore" not in text
    assert "Remove the tag" in text


def test_a_stop_asked_for_by_a_person_has_one_way_out() -> None:
    stop = replace(HOLD, found=OLD, expected=OLD, reason="kim: freeze until Monday")
    text = compose.stage_held("acme/bot", stop, "").text
    assert "freeze until Monday" in text
    assert "--restore" in text
    assert "--accept" not in text


def test_a_refused_token_is_one_fact_a_day() -> None:
    notice = compose.token_refused("2026-05-01")
    assert notice.key == f"{notice.kind}:2026-05-01"
    assert "HF_TOKEN" in notice.text
    assert "proctor doctor" in notice.text


def test_a_failed_promotion_and_a_step_that_gave_up_tell_the_error() -> None:
    assert "403" in ALL["promotion failed"].text
    assert "proctor promote acme/bot@aaaaaaaa prod" in ALL["promotion failed"].text
    assert "the Hub is down" in ALL["gave up"].text
    assert "the Hub is down" in ALL["paused"].text
    assert "proctor doctor" in ALL["paused"].text
