"""The eval process: `python -m proctor.checks.lm_eval.harness`, with a request on stdin.

It has no credentials and no network, and evaluates the one folder that it is given. Never used
are the harness's caches: their keys know neither the model (`use_cache`) nor the documents
(`cache_requests`), so they hand one revision the answers of another.

It leaves behind in the request's `out`: `result.json`, and `samples/<task>.jsonl.gz`, one row for
each document and filter.
"""

from __future__ import annotations

import gzip
import json
import math
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from proctor.checks.folders import content_digest
from proctor.checks.lm_eval import soundness, suite
from proctor.checks.lm_eval.loading import Loaded, load
from proctor.checks.lm_eval.parameters import Parameters
from proctor.checks.supervisor.kernel import die_with_supervisor
from proctor.checks.supervisor.record import write_json
from proctor.core.errors import CheckFailed
from proctor.core.evidence import digest

RESULT: Final = "result.json"
PROGRESS: Final = "progress.json"
SAMPLES: Final = "samples"


@dataclass(frozen=True, slots=True)
class Request:
    """What to evaluate. Paths are absolute; `parameters` are those of the check."""

    snapshot: str
    include_path: str | None
    out: str
    parameters: dict[str, Any]

    def to_json(self) -> str:
        """As the eval process reads it."""
        return json.dumps(asdict(self))


class Progress:
    """Tells how far the eval is, in a file that is replaced a few times a second.

    It takes the place of the harness's cache hook, which hears of each answered request.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._told = 0.0
        self._what, self._total = "", 0
        self._done = self.requests = 0

    def begin(self, what: str, total: int) -> None:
        """A batch of `total` requests begins."""
        self._what, self._total, self._done = what, total, 0

    def add_partial(self, attr: str, req: object, res: object) -> None:
        """One request was answered. Called by the harness."""
        self._done += 1
        self.requests += 1
        if time.monotonic() - self._told > 0.3 or self._done == self._total:
            self._told = time.monotonic()
            told = {"done": self._done, "total": self._total, "what": self._what}
            write_json(self._path, told)


def main() -> int:
    """Entry point. Returns 0 when a result, or the reason why there is none, was written."""
    if not die_with_supervisor() or not (text := sys.stdin.read()):
        return 1  # the supervisor died before it said what to do
    request = Request(**json.loads(text))
    write_json(Path(request.out) / RESULT, answer(request))
    return 0


def answer(request: Request) -> dict[str, Any]:
    """The result, or {"error": the reason why there is none}."""
    try:
        return evaluate(request)
    except CheckFailed as e:
        return {"error": str(e)}
    except Exception as e:  # whatever the harness raises is the reason on record
        traceback.print_exc()
        told = " ".join(str(e).split())[:600]
        return {"error": f"the harness failed: {type(e).__name__}: {told}"}


def evaluate(request: Request) -> dict[str, Any]:
    """Evaluate and return what goes into the result. Raises CheckFailed."""
    wanted = Parameters.model_validate(request.parameters)
    include_path = Path(request.include_path) if request.include_path else None
    loaded_tasks, sources = suite.load(wanted.tasks, include_path)
    progress = Progress(Path(request.out) / PROGRESS)
    loaded = load(Path(request.snapshot), wanted, lambda base: _counting(base, progress))
    loaded.lm.set_cache_hook(progress)
    results = _run(loaded, loaded_tasks, wanted)
    samples = {task: [_plain(row) for row in rows] for task, rows in results["samples"].items()}
    doubts = [
        doubt
        for task, rows in results["samples"].items()
        for doubt in soundness.doubts(task, rows, _due(results, task, wanted.limit))
    ]
    if doubts:
        raise CheckFailed("the measurement cannot be believed: " + "; ".join(doubts))
    _write_samples(samples, Path(request.out) / SAMPLES)
    kept = ("results", "groups", "group_subtasks", "configs", "versions", "n-shot")
    return {
        **{key: _plain(results[key]) for key in kept if key in results},
        "higher_is_better": _plain(results["higher_is_better"]),
        "counts": {task: _counts(rows) for task, rows in samples.items()},
        "requests": progress.requests,
        "notes": loaded.notes,
        "conditions": _conditions(loaded, wanted, results, samples, sources),
    }


def _counting(base: type[Any], progress: Progress) -> type[Any]:
    class Counting(base):  # type: ignore[misc] # lm_eval has no types
        """The harness's model, saying how much it was asked for."""

        def loglikelihood(self, requests: Any, *args: Any, **kwargs: Any) -> Any:
            progress.begin("loglikelihood", len(requests))
            return super().loglikelihood(requests, *args, **kwargs)

        def loglikelihood_rolling(self, requests: Any, *args: Any, **kwargs: Any) -> Any:
            progress.begin("loglikelihood_rolling", len(requests))
            return super().loglikelihood_rolling(requests, *args, **kwargs)

        def generate_until(self, requests: Any, *args: Any, **kwargs: Any) -> Any:
            progress.begin("generate_until", len(requests))
            return super().generate_until(requests, *args, **kwargs)

    return Counting


def _run(loaded: Loaded, loaded_tasks: Any, wanted: Parameters) -> dict[str, Any]:
    from lm_eval import simple_evaluate  # type: ignore[import-untyped] # it has no types

    groups = loaded_tasks.get("groups", {})
    grouped = {t.task_name for group in groups.values() for t in group.get_all_tasks()}
    inner = {g.name for group in groups.values() for g in group.get_all_groups()}
    chosen = [g for name, g in groups.items() if name not in inner]
    chosen += [t for name, t in loaded_tasks["tasks"].items() if name not in grouped]
    results: dict[str, Any] = simple_evaluate(
        model=loaded.lm,
        tasks=chosen,
        num_fewshot=wanted.num_fewshot,
        batch_size=wanted.batch_size,
        limit=wanted.limit,
        log_samples=True,
        bootstrap_iters=wanted.bootstrap_iters,
        task_manager=_task_manager(),
        apply_chat_template=wanted.apply_chat_template,
        fewshot_as_multiturn=wanted.fewshot_as_multiturn,
        system_instruction=wanted.system_instruction,
        gen_kwargs=dict(wanted.gen_kwargs) if wanted.gen_kwargs else None,
        random_seed=wanted.random_seed,
        numpy_random_seed=wanted.numpy_random_seed,
        torch_random_seed=wanted.torch_random_seed,
        fewshot_random_seed=wanted.fewshot_random_seed,
    )
    return results


def _task_manager() -> Any:
    from lm_eval.tasks import TaskManager  # type: ignore[import-untyped] # it has no types

    return TaskManager(include_defaults=False)  # the tasks are loaded already


def _due(results: Mapping[str, Any], task: str, limit: float | None) -> int:
    return soundness.expected_documents(int(results["n-samples"][task]["original"]), limit)


def _counts(rows: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Documents behind each "metric,filter"."""
    counts: dict[str, int] = {}
    for row in rows:
        for metric in row["metrics"]:
            key = f"{metric},{row['filter']}"
            counts[key] = counts.get(key, 0) + 1
    return counts


def _conditions(
    loaded: Loaded,
    wanted: Parameters,
    results: Mapping[str, Any],
    samples: Mapping[str, Sequence[Mapping[str, Any]]],
    sources: Mapping[str, Path],
) -> dict[str, Any]:
    """All that has to be equal before two results may be compared."""
    told_below = {"tasks", "dtype", "device", "add_bos_token"}
    no_matter = {"include_path", "bootstrap_iters", "time_limit", "allow_pickle"}
    asked = wanted.model_dump(mode="json", exclude=told_below | no_matter)
    return {
        **asked,
        "harness": f"lm_eval {version('lm_eval')}",
        "transformers": version("transformers"),
        "torch": version("torch"),
        "datasets": version("datasets"),
        "dtype": loaded.dtype,
        "device": loaded.device,
        "add_bos_token": loaded.adds_bos,
        "chat_template": _template(loaded, wanted),
        "tasks": {
            task: {
                "version": _plain(results["versions"].get(task)),
                "num_fewshot": results["n-shot"].get(task),
                "documents": digest(
                    [[r["doc_hash"], r["prompt_hash"], r["target_hash"]] for r in rows]
                ),
                "folder": _folder(sources.get(task)),
            }
            for task, rows in samples.items()
        },
    }


def _template(loaded: Loaded, wanted: Parameters) -> str | None:
    """The digest of the chat template that was applied, None for none."""
    if not wanted.apply_chat_template:
        return None
    return digest(str(loaded.lm.chat_template(wanted.apply_chat_template)))


def _folder(source: Path | None) -> str | None:
    """The digest of a task's folder; None for the harness's own, which its version tells."""
    import lm_eval

    own = Path(lm_eval.__file__).parent
    if source is None or own in source.resolve().parents:
        return None
    return content_digest(source.parent)


def _write_samples(samples: Mapping[str, Sequence[Mapping[str, Any]]], folder: Path) -> None:
    folder.mkdir()
    for task, rows in samples.items():
        name = "".join(c if c.isalnum() or c in "-_." else "_" for c in task)
        with (
            (folder / f"{name}.jsonl.gz").open("wb") as raw,
            gzip.GzipFile(fileobj=raw, mode="wb", filename="", mtime=0) as packed,
        ):  # no name and no time within: equal rows give equal bytes
            for row in rows:
                packed.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")


def _plain(value: Any) -> Any:
    """`value` as JSON can hold it: NumPy's numbers as numbers, NaN as null, the rest as text."""
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, set | frozenset):
        return sorted((_plain(inner) for inner in value), key=str)
    if hasattr(value, "item") and getattr(value, "ndim", 0) == 0:
        return _plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)


if __name__ == "__main__":
    sys.exit(main())
