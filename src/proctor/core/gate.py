"""The gate: written criteria against recorded evidence. Pure, so a verdict can be recomputed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from proctor.core.evidence import Evidence, Json, Metric, Outcome
from proctor.core.figure import beside, figure, written


class Result(StrEnum):
    """What a comparison, or the whole gate, says."""

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True)
class AtLeast:
    """The metric must be `bound` or more."""

    metric: str
    bound: float


@dataclass(frozen=True, slots=True)
class AtMost:
    """The metric must be `bound` or less."""

    metric: str
    bound: float


Criterion: TypeAlias = AtLeast | AtMost
"""One comparison. `metric` is "check/metric" ("full/arith/acc"): the first part names the check."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why one criterion (or check) says what it says, in plain words."""

    result: Result
    text: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gate says of a revision, with one reason for each criterion and errored check."""

    result: Result
    reasons: tuple[Reason, ...]


Baseline: TypeAlias = Mapping[str, Mapping[str, Evidence]]
"""Stage name -> check name -> the evidence of the revision that is in that stage now."""


def judge(
    criteria: Sequence[Criterion], evidence: Mapping[str, Evidence], baseline: Baseline
) -> Verdict:
    """Judge the evidence (by check name).

    An errored check is not a failed model: it makes the verdict inconclusive whatever the rest
    says. A metric that no check reported is inconclusive too. A gate without criteria never
    passes: absence of evidence must not promote.
    """
    reasons = [
        Reason(
            Result.INCONCLUSIVE, f"check {name} could not measure: {e.error or 'no reason given'}"
        )
        for name, e in sorted(evidence.items())
        if e.outcome is Outcome.ERRORED
    ]
    errored = bool(reasons)
    reasons += [_compare(c, evidence, baseline) for c in criteria]
    if not criteria:
        reasons.append(Reason(Result.INCONCLUSIVE, "the gate has no criteria"))
    results = {r.result for r in reasons}
    if not errored and Result.FAIL in results:
        return Verdict(Result.FAIL, tuple(reasons))
    if Result.INCONCLUSIVE in results:
        return Verdict(Result.INCONCLUSIVE, tuple(reasons))
    return Verdict(Result.PASS, tuple(reasons))


def _compare(criterion: Criterion, evidence: Mapping[str, Evidence], baseline: Baseline) -> Reason:
    check, _, name = criterion.metric.partition("/")
    found = evidence.get(check)
    metric = found.metric(name) if found else None
    if metric is None:
        return Reason(Result.INCONCLUSIVE, f"{criterion.metric}: {_why_missing(found, name)}")
    if isinstance(criterion, AtLeast):
        holds, sign, wanted = metric.value >= criterion.bound, "≥", "at least"
    else:
        holds, sign, wanted = metric.value <= criterion.bound, "≤", "at most"
    told = f"{criterion.metric} is {number(metric, criterion.bound)}"
    bound = f"{written(criterion.bound)}{metric.unit and ' ' + metric.unit}"
    if holds:
        return Reason(Result.PASS, f"{told}, {sign} {bound} as asked")
    return Reason(Result.FAIL, f"{told}; the gate asks for {wanted} {bound}")


def _why_missing(found: Evidence | None, name: str) -> str:
    if found is None:
        return "no such check ran"
    if found.outcome is Outcome.ERRORED:
        return "not measured"
    known = ", ".join(m.name for m in found.findings.metrics) or "none"
    return f"the check reported no such metric (it has: {known})"


def number(metric: Metric, bound: float | None = None) -> str:
    """A metric for people: value, standard error and n where known; told apart from `bound`."""
    value = figure(metric.value) if bound is None else beside(metric.value, bound)
    text = f"{value}{metric.unit and ' ' + metric.unit}"
    if metric.stderr is not None:
        text += f" ± {figure(metric.stderr, 2)}"
    return text + (f" (n={metric.n})" if metric.n is not None else "")


def criterion_json(criterion: Criterion) -> dict[str, Json]:
    """The criterion as it is written in proctor.yaml."""
    word = "at_least" if isinstance(criterion, AtLeast) else "at_most"
    return {"metric": criterion.metric, word: criterion.bound}


def criterion_from(written: Mapping[str, Json]) -> Criterion:
    """The opposite of `criterion_json`. Raises ValueError on anything else."""
    metric = written.get("metric")
    bounds = {k: v for k, v in written.items() if k != "metric"}
    if isinstance(metric, str) and len(bounds) == 1:
        ((word, bound),) = bounds.items()
        if isinstance(bound, int | float) and not isinstance(bound, bool):
            if word == "at_least":
                return AtLeast(metric, float(bound))
            if word == "at_most":
                return AtMost(metric, float(bound))
    raise ValueError(f"not a criterion: {dict(written)!r}")
