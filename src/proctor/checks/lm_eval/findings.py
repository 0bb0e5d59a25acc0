"""From what the harness reports to metrics. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from proctor.core.errors import CheckFailed
from proctor.core.evidence import Metric


def metrics(result: Mapping[str, Any]) -> tuple[Metric, ...]:
    """The metrics of all tasks and groups, named "task/metric" ("task/metric@filter" where a
    task has several filters).

    Raises CheckFailed for a metric that is not a finite number, and when there is none.
    """
    told: dict[str, Mapping[str, Any]] = {**result["results"], **result.get("groups", {})}
    found = tuple(m for task, numbers in told.items() for m in _of_task(result, task, numbers))
    if not found:
        raise CheckFailed("the harness reported no metric")
    return found


def _of_task(result: Mapping[str, Any], task: str, told: Mapping[str, Any]) -> Iterator[Metric]:
    keys = [k for k in told if "," in k and not _of_error(k)]
    filters = {k.rpartition(",")[2] for k in keys}
    better = result.get("higher_is_better", {}).get(task) or {}
    for key in keys:
        metric, _, name = key.rpartition(",")
        value, stderr = told[key], told.get(f"{metric}_stderr,{name}")
        if isinstance(value, str):
            continue  # a group that has no aggregate of its own reports a blank
        if value is None or isinstance(value, bool | list | Mapping):
            raise CheckFailed(f"{task}/{metric} is not a finite number: {value}")
        shown = f"{metric}@{name}" if len(filters) > 1 and name != "none" else metric
        yield Metric(
            name=f"{task}/{shown}",
            value=float(value),
            stderr=float(stderr) if isinstance(stderr, int | float) else None,
            n=_count(result, task, key),
            higher_is_better=better.get(metric) is not False,
        )


def _of_error(key: str) -> bool:
    return key.rpartition(",")[0].endswith("_stderr")


def _count(result: Mapping[str, Any], name: str, key: str) -> int | None:
    """Documents behind a metric; of a group, those of all its tasks."""
    counts: Mapping[str, Mapping[str, int]] = result["counts"]
    if name in counts:
        return counts[name].get(key)
    members = result.get("group_subtasks", {}).get(name, ())
    told = [_count(result, member, key) for member in members]
    return sum(n for n in told if n is not None) or None
