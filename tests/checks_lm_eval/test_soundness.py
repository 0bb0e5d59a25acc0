"""Signs that a measurement went wrong in silence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from proctor.checks.lm_eval.findings import metrics
from proctor.checks.lm_eval.soundness import (
    doubts,
    expected_documents,
    loading_problems,
    suspect_logprobs,
    unused_weights,
)
from proctor.core.errors import CheckFailed

NAN, INF = float("nan"), float("inf")


def chosen(doc: int, logprobs: Sequence[float], filter: str = "none") -> dict[str, Any]:
    """A multiple-choice row as the harness gives it."""
    answers = [(p, False) for p in logprobs]
    return {
        "doc_id": doc,
        "filter": filter,
        "resps": [[a] for a in answers],
        "filtered_resps": answers,
    }


def written(doc: int, text: str, filter: str = "none") -> dict[str, Any]:
    """A generation row."""
    return {"doc_id": doc, "filter": filter, "resps": [[text]], "filtered_resps": [text]}


FINE = [chosen(0, (-1.0, -2.0)), chosen(1, (-3.0, -3.0))]


def test_fine_samples_raise_no_doubt() -> None:
    assert doubts("t", FINE, 2) == []
    assert doubts("t", [written(0, "1"), written(1, "1")], 2) == []


@pytest.mark.parametrize("bad", [NAN, INF, -INF])
def test_one_number_that_is_not_finite(bad: float) -> None:
    [told] = suspect_logprobs("t", [*FINE, chosen(2, (-1.0, bad))])
    assert "of 1 documents are not finite" in told


def test_nan_in_a_rolling_loglikelihood() -> None:
    row = {"doc_id": 0, "filter": "none", "resps": [[NAN]], "filtered_resps": [NAN]}
    assert "not finite" in suspect_logprobs("t", [row])[0]


@pytest.mark.parametrize("value", [0, 0.0, -2.5])
def test_flat_in_every_document(value: float) -> None:
    rows = [chosen(0, (value, value)), chosen(1, (value, value))]
    assert "equally likely" in suspect_logprobs("t", rows)[0]
    assert suspect_logprobs("t", [*rows, chosen(2, (-1.0, -2.0))]) == []


def test_a_missing_document() -> None:
    assert doubts("t", FINE, 3) == ["t: 2 documents were evaluated, 3 were due (filter none)"]
    both = [written(0, "a", "x"), written(1, "a", "x"), written(0, "a", "y"), written(0, "a", "y")]
    assert doubts("t", both, 2) == ["t: 1 documents were evaluated, 2 were due (filter y)"]


@pytest.mark.parametrize(("samples", "due"), [([], 5), ([], 0)])
def test_no_document_at_all(samples: list[dict[str, Any]], due: int) -> None:
    assert doubts("t", samples, due) == ["t: no document was evaluated"]


@pytest.mark.parametrize(
    ("original", "limit", "due"),
    [(600, None, 600), (600, 50, 50), (30, 50, 30), (600, 0.5, 300), (3, 0.5, 2)],
)
def test_expected_documents(original: int, limit: float | None, due: int) -> None:
    assert expected_documents(original, limit) == due


OWN = ("model.layers.0.mlp.weight", "lm_head.weight")


def test_a_clean_report() -> None:
    clean: dict[str, object] = {
        "missing_keys": [],
        "unexpected_keys": set(),
        "mismatched_keys": [],
        "error_msgs": [],
    }
    assert loading_problems(clean, OWN) == []
    assert loading_problems({}, OWN) == []


def test_missing_and_misshapen_weights() -> None:
    report = {
        "missing_keys": {"b", "a", "c", "d"},
        "mismatched_keys": {("lm_head.weight", (1,), (2,))},
        "error_msgs": ["oh"],
    }
    assert loading_problems(report, OWN) == [
        "weights missing from the revision: a, b, c and 1 more",
        "weights of another shape than the configuration's: lm_head.weight",
        "weights could not be loaded: oh",
    ]


def test_unused_weights_matter_when_they_are_layers() -> None:
    extra = {"unexpected_keys": {"value_head.weight"}}
    assert loading_problems(extra, OWN) == []
    assert unused_weights(extra) == ["value_head.weight"]
    layer = {"unexpected_keys": {"model.layers.7.mlp.weight"}}
    assert "layers that the configuration leaves out" in loading_problems(layer, OWN)[0]


def result(**numbers: Any) -> dict[str, Any]:
    """A harness result of one task with one document."""
    told = {"name": "t", "alias": "t", "sample_len": 1, **numbers}
    return {
        "results": {"t": told},
        "counts": {"t": dict.fromkeys(numbers, 1)},
        "higher_is_better": {"t": {"acc": True, "ppl": False}},
    }


def test_names_of_metrics() -> None:
    [only] = metrics(result(**{"acc,strict": 0.5, "acc_stderr,strict": "N/A"}))
    assert (only.name, only.stderr, only.n) == ("t/acc", None, 1)
    several = metrics(result(**{"acc,none": 0.5, "acc,strict": 0.25, "ppl,none": 7.5}))
    assert [m.name for m in several] == ["t/acc", "t/acc@strict", "t/ppl"]
    assert [m.higher_is_better for m in several] == [True, True, False]


def test_a_group_counts_its_tasks() -> None:
    told = result(**{"acc,none": 0.5})
    told["results"]["g"] = {"name": "g", "acc,none": 0.5, "acc_stderr,none": 0.1}
    told["groups"] = {"g": told["results"]["g"]}
    told["counts"]["u"] = {"acc,none": 4}
    told["group_subtasks"] = {"g": ["t", "u"]}
    group = next(m for m in metrics(told) if m.name == "g/acc")
    assert (group.value, group.stderr, group.n) == (0.5, 0.1, 5)


def test_a_metric_that_is_no_number() -> None:
    with pytest.raises(CheckFailed, match="t/acc is not a finite number"):
        metrics(result(**{"acc,none": None}))
    with pytest.raises(CheckFailed, match="no metric"):
        metrics(result())
