"""What a check measured: facts, never opinions."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from json.encoder import encode_basestring_ascii
from typing import Final, TypeAlias, Union

from proctor.core.errors import PermanentError
from proctor.core.names import Revision

Json: TypeAlias = Union[  # noqa: UP007 - a string in a union of | is an error at run time
    None, bool, int, float, str, Sequence["Json"], Mapping[str, "Json"]
]
"""A value that JSON can hold."""


class Outcome(StrEnum):
    """Whether a check could measure at all."""

    MEASURED = "measured"
    ERRORED = "errored"


@dataclass(frozen=True, slots=True)
class Metric:
    """One number.

    `name` is relative to its check ("arith/acc", "metric@filter" where a task has several
    filters). `value` and `stderr` are in `unit` ("" for a ratio); `n` counts the documents behind
    the number. `stderr` is None where the harness gives none.
    """

    name: str
    value: float
    stderr: float | None = None
    n: int | None = None
    higher_is_better: bool = True
    unit: str = ""

    def __post_init__(self) -> None:
        if not math.isfinite(self.value):
            raise PermanentError(f"metric {self.name} is {self.value}, not a finite number")


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file kept as a record: `path` is relative to the artifact folder, `sha256` of its bytes."""

    path: str
    sha256: str
    size: int
    media_type: str = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Findings:
    """What one try of a check brings back.

    `conditions` holds all that must be equal before two findings may be compared (task versions,
    dtype, batch size, venue, harness version). `costs` are amounts by unit ("wall_s", "tokens").
    `notes` are facts for people, in plain words.
    """

    metrics: tuple[Metric, ...] = ()
    artifacts: tuple[Artifact, ...] = ()
    conditions: Mapping[str, Json] = field(default_factory=dict)
    costs: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Evidence:
    """The recorded result of one check on one revision: findings, or the error that kept it from
    measuring (`error` is then the reason in plain words and there are no metrics)."""

    id: str
    check: str
    revision: Revision
    outcome: Outcome
    findings: Findings
    error: str | None = None

    def metric(self, name: str) -> Metric | None:
        """The metric called `name` within this check, or None."""
        return next((m for m in self.findings.metrics if m.name == name), None)


def canonical(value: Json) -> str:
    """JSON with sorted keys and no spaces: equal values give equal text."""
    return _CANONICAL.encode(value)


_CANONICAL: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def digest(value: Json) -> str:
    """SHA-256 over the canonical JSON, in hex."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def digest_of_texts(*texts: str) -> str:
    """What `digest` gives for the list of these texts, in a third of the time."""
    told = f"[{','.join(map(encode_basestring_ascii, texts))}]"
    return hashlib.sha256(told.encode()).hexdigest()
