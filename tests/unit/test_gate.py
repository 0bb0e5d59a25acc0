"""The gate's decision, criterion by criterion."""

from __future__ import annotations

import pytest

from proctor.core.errors import PermanentError
from proctor.core.evidence import Evidence, Findings, Metric, Outcome
from proctor.core.gate import (
    AtLeast,
    AtMost,
    Criterion,
    Result,
    criterion_from,
    criterion_json,
    judge,
    number,
)
from proctor.core.names import Revision

SHA = Revision("a" * 40)


def measured(check: str, **values: float) -> dict[str, Evidence]:
    metrics = tuple(Metric(f"arith/{name}", value) for name, value in values.items())
    return {check: Evidence("e", check, SHA, Outcome.MEASURED, Findings(metrics))}


def errored(check: str, error: str | None = "out of memory") -> dict[str, Evidence]:
    return {check: Evidence("e", check, SHA, Outcome.ERRORED, Findings(), error)}


@pytest.mark.parametrize(
    ("criterion", "value", "result"),
    [
        (AtLeast("full/arith/acc", 0.8), 0.81, Result.PASS),
        (AtLeast("full/arith/acc", 0.8), 0.8, Result.PASS),
        (AtLeast("full/arith/acc", 0.8), 0.79, Result.FAIL),
        (AtMost("full/arith/acc", 0.8), 0.79, Result.PASS),
        (AtMost("full/arith/acc", 0.8), 0.8, Result.PASS),
        (AtMost("full/arith/acc", 0.8), 0.81, Result.FAIL),
    ],
)
def test_a_bound_includes_itself(criterion: Criterion, value: float, result: Result) -> None:
    verdict = judge([criterion], measured("full", acc=value), {})
    assert verdict.result is result
    assert [r.result for r in verdict.reasons] == [result]


def test_reasons_say_what_was_measured_and_what_was_asked() -> None:
    gate: list[Criterion] = [AtLeast("full/arith/acc", 0.8), AtMost("full/arith/loss", 2)]
    good = judge(gate, measured("full", acc=0.9, loss=1.5), {})
    bad = judge(gate, measured("full", acc=0.5, loss=2.5), {})
    assert [r.text for r in good.reasons] == [
        "full/arith/acc is 0.9, ≥ 0.8 as asked",
        "full/arith/loss is 1.5, ≤ 2 as asked",
    ]
    assert [r.text for r in bad.reasons] == [
        "full/arith/acc is 0.5; the gate asks for at least 0.8",
        "full/arith/loss is 2.5; the gate asks for at most 2",
    ]


def test_one_failed_criterion_fails_the_gate_and_the_others_keep_their_reasons() -> None:
    gate = [AtLeast("full/arith/acc", 0.8), AtLeast("full/arith/f1", 0.8)]
    verdict = judge(gate, measured("full", acc=0.9, f1=0.1), {})
    assert verdict.result is Result.FAIL
    assert [r.result for r in verdict.reasons] == [Result.PASS, Result.FAIL]


def test_a_failure_outweighs_a_missing_metric() -> None:
    gate = [AtLeast("full/arith/acc", 0.8), AtLeast("full/arith/f1", 0.8)]
    assert judge(gate, measured("full", acc=0.1), {}).result is Result.FAIL


def test_an_errored_check_is_inconclusive_even_where_a_criterion_fails() -> None:
    evidence = measured("full", acc=0.1) | errored("card")
    verdict = judge([AtLeast("full/arith/acc", 0.8)], evidence, {})
    assert verdict.result is Result.INCONCLUSIVE
    assert verdict.reasons[0].text == "check card could not measure: out of memory"
    assert [r.result for r in verdict.reasons] == [Result.INCONCLUSIVE, Result.FAIL]


def test_an_errored_check_is_inconclusive_even_where_every_criterion_passes() -> None:
    evidence = measured("full", acc=0.9) | errored("card", None)
    verdict = judge([AtLeast("full/arith/acc", 0.8)], evidence, {})
    assert verdict.result is Result.INCONCLUSIVE
    assert verdict.reasons[0].text == "check card could not measure: no reason given"


def test_the_metric_of_an_errored_check_was_not_measured() -> None:
    verdict = judge([AtLeast("full/arith/acc", 0.8)], errored("full"), {})
    assert verdict.result is Result.INCONCLUSIVE
    assert verdict.reasons[-1].text == "full/arith/acc: not measured"


def test_a_metric_that_nobody_reported_is_inconclusive_and_names_those_there_are() -> None:
    verdict = judge([AtLeast("full/arith/bleu", 1)], measured("full", acc=1, f1=1), {})
    assert verdict.result is Result.INCONCLUSIVE
    assert "it has: arith/acc, arith/f1" in verdict.reasons[0].text
    empty = {"full": Evidence("e", "full", SHA, Outcome.MEASURED, Findings())}
    assert "it has: none" in judge([AtLeast("full/x", 1)], empty, {}).reasons[0].text


def test_a_check_that_never_ran_is_inconclusive() -> None:
    verdict = judge([AtLeast("full/arith/acc", 0.8)], measured("smoke", acc=1), {})
    assert verdict.result is Result.INCONCLUSIVE
    assert verdict.reasons[0].text == "full/arith/acc: no such check ran"


def test_a_gate_without_criteria_never_passes() -> None:
    verdict = judge([], measured("full", acc=1), {})
    assert verdict.result is Result.INCONCLUSIVE
    assert verdict.reasons[0].text == "the gate has no criteria"


def test_the_same_evidence_gives_the_same_verdict() -> None:
    gate = [AtLeast("full/arith/acc", 0.8)]
    evidence = measured("full", acc=0.9) | errored("b") | errored("a")
    backwards = dict(reversed(evidence.items()))
    assert judge(gate, evidence, {}) == judge(gate, backwards, {})


@pytest.mark.parametrize(
    ("metric", "text"),
    [
        (Metric("acc", 0.123456), "0.1235"),
        (Metric("t", 12, unit="s"), "12 s"),
        (Metric("acc", 0.5, stderr=0.0123, n=600), "0.5 ± 0.012 (n=600)"),
        (Metric("acc", 0.5, n=0), "0.5 (n=0)"),
        (Metric("acc", 0.5, stderr=0.0), "0.5 ± 0"),
    ],
)
def test_numbers_for_people(metric: Metric, text: str) -> None:
    assert number(metric) == text


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_metric_is_a_finite_number(value: float) -> None:
    with pytest.raises(PermanentError, match="not a finite number"):
        Metric("acc", value)


@pytest.mark.parametrize("criterion", [AtLeast("a/b", 0.5), AtMost("a/b/c@strict", -1)])
def test_a_criterion_survives_being_written(criterion: Criterion) -> None:
    assert criterion_from(criterion_json(criterion)) == criterion


@pytest.mark.parametrize(
    "written",
    [
        {},
        {"metric": "a/b"},
        {"at_least": 1.0},
        {"metric": 1, "at_least": 1.0},
        {"metric": "a/b", "at_least": True},
        {"metric": "a/b", "at_least": "1"},
        {"metric": "a/b", "around": 1.0},
        {"metric": "a/b", "at_least": 1.0, "at_most": 2.0},
    ],
)
def test_what_is_no_criterion_is_refused(written: dict[str, str | int | float | bool]) -> None:
    with pytest.raises(ValueError, match="not a criterion"):
        criterion_from(written)
