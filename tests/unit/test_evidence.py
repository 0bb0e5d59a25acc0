"""Evidence: finding a metric, and digests that depend on values alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proctor.core.evidence import (
    Evidence,
    Findings,
    Json,
    Metric,
    Outcome,
    canonical,
    digest,
    digest_of_texts,
)
from proctor.core.names import Revision


def test_a_metric_is_found_by_its_whole_name() -> None:
    metrics = (Metric("arith/acc", 0.5), Metric("arith/acc@strict", 0.4))
    evidence = Evidence("e", "full", Revision("a" * 40), Outcome.MEASURED, Findings(metrics))
    assert evidence.metric("arith/acc@strict") == metrics[1]
    assert evidence.metric("acc") is None


def test_canonical_json_has_one_form() -> None:
    assert canonical({"b": [1, None], "a": "é"}) == '{"a":"\\u00e9","b":[1,null]}'


@pytest.mark.parametrize(
    ("one", "other"), [({"a": 1}, {"a": 2}), ({"a": 1}, {"b": 1}), ([1, 2], [2, 1]), ("1", 1)]
)
def test_different_values_have_different_digests(one: Json, other: Json) -> None:
    assert digest(one) != digest(other)


def test_the_order_of_keys_does_not_matter_and_tuples_are_lists() -> None:
    assert digest({"a": 1, "b": (1, 2)}) == digest({"b": [1, 2], "a": 1})


@given(st.lists(st.text() | st.sampled_from(["\ud800\udc00", '"', "\\", "\0"])))
def test_the_short_way_for_texts_leads_to_the_same_digest(texts: list[str]) -> None:
    assert digest_of_texts(*texts) == digest(texts)
