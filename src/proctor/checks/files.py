"""The list of files as a check: formats, pickles and size."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, field_validator

from proctor.core.evidence import Findings, Metric
from proctor.ports.check import Room, Subject

FORMATS: Final[Mapping[str, tuple[str, ...]]] = {
    "safetensors": (".safetensors",),
    "gguf": (".gguf", ".ggml"),
    "onnx": (".onnx", ".onnx_data"),
    "pickle": (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib", ".dill"),
    "tensorflow": (".h5", ".keras", ".pb", ".tflite"),
    "flax": (".msgpack",),
    "coreml": (".mlmodel", ".mlpackage"),
    "pytorch-archive": (".pte", ".ptl", ".mar", ".nemo"),
}
"""Formats of weights by their endings."""

UNSAFE: Final = ("pickle", "pytorch-archive")
"""Formats that can run code when they are loaded:
https://huggingface.co/docs/hub/security-pickle"""


class FilesParameters(BaseModel):
    """What the files may be."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    formats: list[str] | None = Field(
        default=None,
        min_length=1,
        description=f"Formats of weights that are allowed: {', '.join(FORMATS)}.",
        json_schema_extra={"items": {"type": "string", "enum": list(FORMATS)}},
    )
    max_size: int | None = Field(
        default=None, gt=0, description="Largest single file that is not noted, in bytes."
    )
    allow_pickles: bool = Field(
        default=False, description="Whether files that can run code on loading count as safe."
    )

    @field_validator("formats")
    @classmethod
    def _known(cls, formats: list[str] | None) -> list[str] | None:
        for name in formats or ():
            if name not in FORMATS:
                raise ValueError(f"has the unknown format {name!r}; known: {', '.join(FORMATS)}")
        return formats


class Files:
    """Looks at the list of files of the revision: names and sizes, nothing is downloaded.

    Metrics:

    - `unsafe_files`: files that can run code on loading (pickles: .bin, .pt, .ckpt, .pkl and the
      like). 0 with `allow_pickles: true`.
    - `formats_allowed`: 1 when there are weights and all of them are in one of `formats`, else 0.
      Only reported when `formats` is given.
    - `weight_files`: how many files of weights there are.
    - `total_bytes`, `largest_bytes`: size of all files, and of the largest one.
    - `oversized_files`: files larger than `max_size`. Only reported when `max_size` is given.

    To gate on it:

        checks:
          - {use: files, with: {formats: [safetensors], max_size: 5000000000}}
        gate:
          - {metric: files/unsafe_files, at_most: 0}
          - {metric: files/formats_allowed, at_least: 1}
          - {metric: files/total_bytes, at_most: 20000000000}

    A format is told by the file's ending; the notes name each file that counts against it.
    """

    Parameters = FilesParameters
    metrics: Final[Mapping[str, str]] = {
        "unsafe_files": "files that can run code on loading",
        "formats_allowed": "1 when all weights are in an allowed format, else 0",
        "weight_files": "files of weights",
        "total_bytes": "size of all files",
        "largest_bytes": "size of the largest file",
        "oversized_files": "files larger than max_size",
    }
    ranges: Final[Mapping[str, tuple[float, float]]] = {
        **dict.fromkeys(metrics, (0, math.inf)),
        "formats_allowed": (0, 1),
    }
    queue = "io"
    time_limit = 60.0

    def __init__(self, parameters: FilesParameters, /) -> None:
        self._asked = parameters

    def measure(self, subject: Subject, room: Room) -> Findings:
        """Measure the files of exactly this revision; never fails."""
        asked, files = self._asked, subject.description.files
        weights = {f.path: kind for f in files if (kind := format_of(f.path))}
        unsafe = [] if asked.allow_pickles else [p for p, k in weights.items() if k in UNSAFE]
        sizes = [f.size for f in files]
        metrics = [
            Metric("unsafe_files", len(unsafe), higher_is_better=False),
            Metric("weight_files", len(weights)),
            Metric("total_bytes", sum(sizes), higher_is_better=False, unit="bytes"),
            Metric("largest_bytes", max(sizes, default=0), higher_is_better=False, unit="bytes"),
        ]
        notes = [f"can run code on loading: {_listed(unsafe)}"] if unsafe else []
        if asked.formats is not None:
            other = [p for p, kind in weights.items() if kind not in asked.formats]
            metrics.append(Metric("formats_allowed", int(bool(weights) and not other)))
            if other:
                notes.append(f"not in an allowed format: {_listed(other)}")
            if not weights:
                notes.append("there are no weights")
        if asked.max_size is not None:
            over = [f.path for f in files if f.size > asked.max_size]
            metrics.append(Metric("oversized_files", len(over), higher_is_better=False))
            if over:
                notes.append(f"larger than {asked.max_size} bytes: {_listed(over)}")
        return Findings(metrics=tuple(metrics), notes=tuple(notes))


def format_of(path: str) -> str | None:
    """The format of weights that the file's ending tells, or None when it is none."""
    name = path.rsplit("/", 1)[-1].lower()
    return next((kind for kind, ends in FORMATS.items() if name.endswith(ends)), None)


def _listed(paths: Iterable[str], most: int = 10) -> str:
    ordered: list[str] = sorted(paths)
    more = f" and {len(ordered) - most} more" if len(ordered) > most else ""
    return ", ".join(ordered[:most]) + more
