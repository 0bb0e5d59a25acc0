"""The configuration: from proctor.yaml to rules, with every problem told at once."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from proctor.config import plugged, sense, shape, source
from proctor.config.model import CriterionWritten, FileWritten, PipelineWritten
from proctor.config.node import Node
from proctor.config.plugged import Plugged
from proctor.config.problem import ConfigError, ConfigMissing, Problem, clean
from proctor.core.gate import AtLeast, AtMost, Criterion
from proctor.core.names import RepoType
from proctor.core.rule import Channel, CheckSpec, Match, Pipeline, Rules, Stage

__all__ = ["ConfigError", "ConfigMissing", "Problem", "load", "starter"]


def starter() -> str:
    """A configuration to begin with: it loads as it is."""
    return files("proctor.config").joinpath("starter.yaml").read_text("utf-8")


def load(path: Path, environ: Mapping[str, str]) -> Rules:
    """The rules that the file states; `env:` values of channels come from `environ`.

    Relative paths in the file are meant from its folder. A channel `log` is always there. Raises
    ConfigError with every problem, or ConfigMissing when there is no file.
    """
    try:
        document = source.read(path)
    except FileNotFoundError:
        raise ConfigMissing(path, starter()) from None
    if document.value is None and not document.complaints:
        empty = "Begin with this:\n\n" + starter()
        raise ConfigError([Problem(str(path), 1, 1, "the file is empty", empty)])
    root = Node(document)
    complaints = list(document.complaints)
    file = None
    try:
        file = FileWritten.model_validate(document.value)
    except ValidationError as e:
        complaints += shape.complaints(FileWritten, e, document.value)
    complaints += sense.complaints(root)
    found = plugged.look(root, path.absolute().parent, environ)
    complaints += found.complaints
    if complaints or file is None:
        problems = {document.problem(clean(c, found.secrets)): None for c in complaints}
        raise ConfigError(sorted(problems, key=lambda p: (p.line, p.column)))
    return _rules(file, found)


def _rules(file: FileWritten, found: Plugged) -> Rules:
    channels = {
        name: Channel(name, use, parameters) for name, (use, parameters) in found.channels.items()
    }
    builtin = sense.BUILT_IN_CHANNEL
    channels.setdefault(builtin, Channel(builtin, "log"))
    return Rules(
        stages=tuple(Stage(s.name, s.after) for s in file.stages),
        pipelines=tuple(_pipeline(p, i, found) for i, p in enumerate(file.pipelines)),
        channels=channels,
    )


def _pipeline(written: PipelineWritten, place: int, found: Plugged) -> Pipeline:
    def parameters(i: int) -> Mapping[str, Any]:
        return found.checks["pipelines", place, "checks", i]

    def content(i: int) -> Mapping[str, str]:
        return found.contents["pipelines", place, "checks", i]

    match = written.match
    return Pipeline(
        name=written.name,
        match=Match(match.repo, RepoType(match.type), match.ref),
        checks=tuple(
            CheckSpec(c.name or c.use, c.use, parameters(i), tuple(c.needs), content(i))
            for i, c in enumerate(written.checks)
        ),
        gate=tuple(_criterion(c) for c in written.gate),
        promote=tuple(written.promote),
        notify=tuple(written.notify),
    )


def _criterion(written: CriterionWritten) -> Criterion:
    if written.at_least is not None:
        return AtLeast(written.metric, written.at_least)
    assert written.at_most is not None  # sense refuses a criterion without a bound
    return AtMost(written.metric, written.at_most)
