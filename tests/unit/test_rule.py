"""Matching repos to pipelines, and the digest that binds a verdict to its gate."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proctor.core.gate import AtLeast, AtMost
from proctor.core.names import RepoType
from proctor.core.rule import CheckSpec, Match, Pipeline, Rules, Stage, gate_digest, match

PIPELINE = Pipeline(
    "chat",
    Match("acme/chat-*"),
    (CheckSpec("full", "lm-eval", {"limit": 5}), CheckSpec("card", "card", needs=("full",))),
    (AtLeast("full/arith/acc", 0.8),),
    ("staging", "prod"),
    ("team",),
)


@pytest.mark.parametrize(
    ("glob", "repo", "covered"),
    [
        ("acme/chat-*", "acme/chat-7b", True),
        ("acme/chat-*", "acme/Chat-7b", False),
        ("acme/chat-*", "acme/base", False),
        ("acme/chat-*", "evil/acme/chat-7b", False),
        ("acme/chat-*", "acme/chat-", True),
        ("acme/bot", "acme/bot", True),
        ("acme/bot", "acme/bot2", False),
        ("*/bot", "other/bot", True),
        ("acme/[ab]ot", "acme/bot", True),
    ],
)
def test_a_glob_covers_whole_names_and_case_matters(glob: str, repo: str, covered: bool) -> None:
    pipeline = replace(PIPELINE, match=Match(glob))
    assert match([pipeline], RepoType.MODEL, repo) == ((pipeline,) if covered else ())


def test_another_type_of_the_same_name_is_another_repo() -> None:
    assert match([PIPELINE], RepoType.DATASET, "acme/chat-7b") == ()


def test_all_that_match_come_in_the_order_of_the_file() -> None:
    other = replace(PIPELINE, name="all", match=Match("*"))
    no = replace(PIPELINE, name="no", match=Match("x/*"))
    assert match([other, no, PIPELINE], RepoType.MODEL, "acme/chat-7b") == (other, PIPELINE)


@pytest.mark.parametrize(
    "change",
    [
        replace(PIPELINE, gate=(AtLeast("full/arith/acc", 0.7),)),
        replace(PIPELINE, gate=(AtMost("full/arith/acc", 0.8),)),
        replace(PIPELINE, gate=()),
        replace(PIPELINE, checks=PIPELINE.checks[:1]),
        replace(PIPELINE, checks=(CheckSpec("full", "lm-eval", {"limit": 6}), PIPELINE.checks[1])),
        replace(PIPELINE, checks=(PIPELINE.checks[0], CheckSpec("card", "card"))),
        replace(PIPELINE, checks=(PIPELINE.checks[0], CheckSpec("card", "files", {}, ("full",)))),
    ],
)
def test_a_change_of_gate_or_checks_changes_the_digest(change: Pipeline) -> None:
    assert change.gate_digest() != PIPELINE.gate_digest()


def test_content_of_a_folder_changes_the_digest_and_no_content_does_not() -> None:
    one, other = PIPELINE.checks
    first, second = (replace(one, content={"tasks": digest * 64}) for digest in "ab")
    before, after = (gate_digest(PIPELINE.gate, (each, other)) for each in (first, second))
    assert len({before, after, PIPELINE.gate_digest()}) == 3
    # As verdicts on record were given: without content it must not change.
    on_record = "f418285fec96458590959360dbaeaf647e7015ab2a93a41edb56fe2b552ec618"
    assert gate_digest((), (CheckSpec("card", "card"),)) == on_record


def test_name_match_stages_and_channels_do_not_change_the_digest() -> None:
    other = replace(PIPELINE, name="x", match=Match("*"), promote=("prod",), notify=())
    assert other.gate_digest() == PIPELINE.gate_digest()
    assert gate_digest(PIPELINE.gate, PIPELINE.checks) == PIPELINE.gate_digest()


def test_the_last_stage_releases() -> None:
    rules = Rules((Stage("staging"), Stage("prod", "staging")), (PIPELINE,))
    assert rules.releases("prod")
    assert not rules.releases("staging")
    assert not Rules((), ()).releases("prod")
    assert rules.pipeline("chat") is PIPELINE
    assert rules.pipeline("gone") is None
