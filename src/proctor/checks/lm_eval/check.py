"""The plugin: what the worker knows of the harness. It imports neither torch nor lm_eval."""

from __future__ import annotations

import gzip
import json
import math
import os
import shutil
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from proctor.checks import folders
from proctor.checks.lm_eval import environment
from proctor.checks.lm_eval.findings import metrics
from proctor.checks.lm_eval.harness import PROGRESS, RESULT, SAMPLES, Request
from proctor.checks.lm_eval.loading import complete
from proctor.checks.lm_eval.parameters import Parameters as LmEvalParameters
from proctor.checks.supervisor.ending import reap
from proctor.checks.supervisor.supervised import LOG, Ending, Why, run
from proctor.core.errors import Cancelled, CheckFailed, EndedFromOutside, TransientError
from proctor.core.evidence import Artifact, Findings
from proctor.core.secret import redact
from proctor.ports.check import Room, Subject

_LOOK_S: Final = 0.5  # between looks at `cancelled` and the progress
_TOLD_LINES: Final = 8
_FROM_OUTSIDE: Final = frozenset(
    -number for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL)
)
"""Return codes of a process that somebody else ended: no fault of the revision's."""


class LmEval:
    """Evaluate the revision with EleutherAI's language model evaluation harness (lm_eval 0.4.13).

    The model runs in a process of its own on the worker's machine. That process has none of the
    worker's credentials, no network, and never survives the worker. Install `proctor[eval]` where
    the workers of the queue `eval` run.

    Reports one metric for each task and metric of the harness, with its standard error and number
    of documents: `arith/acc`, or `arith_gen/exact_match@strict` where a task has several filters.
    Groups of tasks report theirs likewise. Keeps every answer (`samples/<task>.jsonl.gz`), the
    harness's own report (`results.json`) and what it printed (`output.log`).

    A score is reported only if it can be believed. The check fails, and the verdict is then
    inconclusive, when weights are missing, of another shape or not finite; when the revision
    ships no tokenizer; when log-probabilities are NaN or equal for all choices; when documents are
    missing; when files changed while it ran.

    Data of tasks has to be at hand: the process is offline. Put it beside the task's file, and
    name it there by a relative path (`dataset_path: json`, `data_files`).

    Code in the model repo is not run unless `trust_remote_code` says so, and weights have to be
    safetensors unless `allow_pickle` says otherwise. Adapters without their base model, and
    formats that transformers cannot load, are not supported.
    """

    Parameters = LmEvalParameters
    ranges: Final[Mapping[str, tuple[float, float]]] = {
        **dict.fromkeys(("acc", "acc_all", "acc_bytes", "acc_mutual_info", "acc_norm"), (0, 1)),
        "exact_match": (0, 1),
        "mcc": (-1, 1),
        "bits_per_byte": (0, math.inf),
        **dict.fromkeys(("perplexity", "byte_perplexity", "word_perplexity"), (1, math.inf)),
    }

    def __init__(self, parameters: LmEvalParameters) -> None:
        self._wanted = parameters

    @property
    def queue(self) -> str:
        """It fills a machine."""
        return "eval"

    @property
    def time_limit(self) -> float:
        """Seconds."""
        return self._wanted.time_limit

    def measure(self, subject: Subject, room: Room) -> Findings:
        """Evaluate the subject. Raises CheckFailed, Cancelled, TransientError, or EndedFromOutside
        when the eval was killed (a machine that shuts down or is out of memory)."""
        began = time.monotonic()
        if left := reap(room.work.parent.parent):  # of a worker that was killed
            raise TransientError(f"processes of an earlier try cannot be ended: {left}", delay=60)
        include_path = self._include_path(room.base)
        snapshot = room.snapshot().resolve()
        downloaded = time.monotonic()
        complete(snapshot, self._wanted.allow_pickle)
        before = folders.fingerprint(snapshot)
        request = Request(
            snapshot=str(snapshot),
            include_path=str(include_path) if include_path else None,
            out=str(room.work),
            parameters=self._wanted.model_dump(mode="json"),
        )
        home = room.work / "home"
        environment.prepare(home)
        watch = _Watch(room)
        ending = run(
            [sys.executable, "-P", "-m", "proctor.checks.lm_eval.harness"],
            folder=room.work,
            environment=environment.of_the_eval(os.environ, home),
            request=request.to_json(),
            time_limit=max(1.0, self.time_limit - (time.monotonic() - downloaded)),
            stop=watch.cancelled,
            tick=watch.tell,
        )
        if ending.why is Why.STOPPED and watch.stopped:
            raise Cancelled("the eval was stopped: its work is no longer wanted")
        result = _result(room.work, ending, self.time_limit)
        changed = folders.differences(before, folders.fingerprint(snapshot))
        if changed:
            raise CheckFailed(f"files of the snapshot changed while it was measured: {changed[:5]}")
        return Findings(
            metrics=metrics(result),
            artifacts=_keep(room, subject, result),
            conditions=result["conditions"],
            costs={
                "wall_s": round(time.monotonic() - began, 3),
                "requests": float(result["requests"]),
            },
            notes=tuple(result["notes"]),
        )

    def _include_path(self, base: Path) -> Path | None:
        if self._wanted.include_path is None:
            return None
        folder = (base / self._wanted.include_path).resolve()
        if not folder.is_dir():
            raise CheckFailed(f"include_path: there is no folder {folder}")
        return folder


class _Watch:
    """Looks at the room's `cancelled` and the eval's progress, but not too often."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._next = 0.0
        self._told: object = None
        self.stopped = False

    def cancelled(self) -> bool:
        if not self.stopped and time.monotonic() >= self._next:
            self._next = time.monotonic() + _LOOK_S
            self.stopped = self._room.cancelled()
        return self.stopped

    def tell(self) -> None:
        try:
            told = json.loads((self._room.work / PROGRESS).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return  # not begun
        if told != self._told:
            self._told = told
            self._room.progress(int(told["done"]), int(told["total"]), str(told["what"]))


def _result(work: Path, ending: Ending, time_limit: float) -> dict[str, Any]:
    """What the eval process wrote. Raises CheckFailed with the reason when it is no result."""
    if ending.why is Why.TIME_LIMIT:
        raise CheckFailed(f"the eval took longer than its time limit of {time_limit:g} s")
    if ending.why is not Why.EXITED:
        raise EndedFromOutside(f"the eval process was ended from outside ({ending.why})")
    if ending.returncode in _FROM_OUTSIDE:
        raise EndedFromOutside(_death(ending.returncode))
    try:
        result: dict[str, Any] = json.loads((work / RESULT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise CheckFailed(_death(ending.returncode) + _last_words(work)) from None
    if "error" in result:
        raise CheckFailed(redact(str(result["error"])))
    if ending.returncode != 0:
        raise CheckFailed(_death(ending.returncode) + _last_words(work))
    return result


def _death(code: int | None) -> str:
    if code is None or code >= 0:
        return f"the eval process ended with code {code}"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
    memory = " (is the machine out of memory?)" if name == "SIGKILL" else ""
    return f"the eval process was killed by {name}{memory}"


def _last_words(work: Path) -> str:
    try:
        lines = (work / LOG).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    told = [line.strip() for line in lines if line.strip()][-_TOLD_LINES:]
    return redact("; it said last: " + " | ".join(told))[:2000] if told else ""


def _keep(room: Room, subject: Subject, result: Mapping[str, Any]) -> tuple[Artifact, ...]:
    """Move what is kept into the artifact folder: answers, report and log."""
    (room.artifacts / SAMPLES).mkdir(parents=True, exist_ok=True)
    kept = []
    for path in sorted((room.work / SAMPLES).iterdir()):
        target = f"{SAMPLES}/{path.name}"
        shutil.move(path, room.artifacts / target)
        kept.append(_artifact(room.artifacts, target, "application/gzip"))
    report = {"repo": subject.repo.name, "revision": subject.revision, **result}
    _write(room.artifacts / "results.json", json.dumps(report, indent=1, sort_keys=True))
    said = (room.work / LOG).read_text(encoding="utf-8", errors="replace")
    _write(room.artifacts / LOG, redact(said))
    kept.append(_artifact(room.artifacts, "results.json", "application/json"))
    kept.append(_artifact(room.artifacts, LOG, "text/plain"))
    return tuple(kept)


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _artifact(folder: Path, name: str, media_type: str) -> Artifact:
    path = folder / name
    return Artifact(name, folders.file_digest(path), path.stat().st_size, media_type)


def read_samples(path: Path) -> list[dict[str, Any]]:
    """The rows of a `samples/<task>.jsonl.gz`, one for each document and filter."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]
