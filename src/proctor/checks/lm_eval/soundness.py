"""Whether numbers can be believed. Pure: signs of a measurement that went wrong in silence.

Each function returns what is wrong in plain words; an empty list says that nothing was found.
A harness gives a score for all of these, and exits 0.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

Sample: TypeAlias = Mapping[str, Any]
"""One row of the harness's samples: one document under one filter."""

_NUMBER = re.compile(r"\d+")


def doubts(task: str, samples: Sequence[Sample], expected: int) -> list[str]:
    """What speaks against the samples of one task, of which `expected` documents were due."""
    return [*_miscounted(task, samples, expected), *suspect_logprobs(task, samples)]


def expected_documents(original: int, limit: float | None) -> int:
    """How many of `original` documents `limit` leaves (below 1 it is a share, rounded up)."""
    if limit is None:
        return original
    wanted = math.ceil(original * limit) if limit < 1 else int(limit)
    return min(original, wanted)


def _miscounted(task: str, samples: Sequence[Sample], expected: int) -> list[str]:
    if not samples or expected <= 0:
        return [f"{task}: no document was evaluated"]
    documents: dict[str, set[Any]] = {}
    for sample in samples:
        documents.setdefault(str(sample["filter"]), set()).add(sample["doc_id"])
    return [
        f"{task}: {len(ids)} documents were evaluated, {expected} were due (filter {name})"
        for name, ids in documents.items()
        if len(ids) != expected
    ]


def suspect_logprobs(task: str, samples: Sequence[Sample]) -> list[str]:
    """Log-probabilities that no working model gives.

    Not finite: NaN or infinite weights. Equal across the choices of every document: nothing was
    compared, as when a server ignores `echo` and every choice scores 0.
    """
    broken = {s["doc_id"] for s in samples if not all(map(math.isfinite, _numbers(s["resps"])))}
    if broken:
        return [f"{task}: log-probabilities of {len(broken)} documents are not finite numbers"]
    choices = [c for c in (_choices(s) for s in samples) if len(c) > 1]
    if choices and all(_flat(c) for c in choices):
        return [
            f"{task}: all choices are equally likely in each of {len(choices)} documents: "
            "nothing was measured"
        ]
    return []


def _numbers(value: object) -> Iterator[float]:
    if isinstance(value, list | tuple):
        for inner in value:
            yield from _numbers(inner)
    elif isinstance(value, float):
        yield value


def _choices(sample: Sample) -> list[float]:
    """The log-probabilities of a multiple-choice row; empty for any other."""
    answers = sample["filtered_resps"]
    if not isinstance(answers, list | tuple):
        return []
    pairs = [a for a in answers if isinstance(a, list | tuple) and len(a) == 2]
    # A sum over no tokens is the integer 0.
    return [float(a[0]) for a in pairs if isinstance(a[0], int | float)]


def _flat(logprobs: Sequence[float]) -> bool:
    return all(math.isclose(p, logprobs[0], rel_tol=1e-6, abs_tol=1e-9) for p in logprobs)


def loading_problems(report: Mapping[str, Any], parameters: Iterable[str]) -> list[str]:
    """What transformers' loading report says against the loaded model.

    `report` is what `from_pretrained(…, output_loading_info=True)` gives; tied weights are not
    missing in it. `parameters` are the names of the model's own. Weights that the model has no
    place for matter when it has the same place in another layer: the configuration then asks for
    fewer layers than the revision has.
    """
    missing = _names(report.get("missing_keys"))
    unfit = _names(report.get("mismatched_keys"))
    errors = [str(e)[:300] for e in report.get("error_msgs") or ()]
    places = {_NUMBER.sub("N", name) for name in parameters}
    extra = [k for k in _names(report.get("unexpected_keys")) if _NUMBER.sub("N", k) in places]
    found = {
        "weights missing from the revision": missing,
        "weights of another shape than the configuration's": unfit,
        "weights of layers that the configuration leaves out": extra,
        "weights could not be loaded": errors,
    }
    return [f"{what}: {_some(names)}" for what, names in found.items() if names]


def unused_weights(report: Mapping[str, Any]) -> list[str]:
    """Names of weights in the revision that the model has no place for."""
    return _names(report.get("unexpected_keys"))


def _names(keys: object) -> list[str]:
    if not isinstance(keys, Iterable):
        return []
    return sorted(str(k[0]) if isinstance(k, tuple) else str(k) for k in keys)


def _some(names: Sequence[str], most: int = 3) -> str:
    told = ", ".join(names[:most])
    return told if len(names) <= most else f"{told} and {len(names) - most} more"
