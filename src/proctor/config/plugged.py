"""What plugins say: whether `use` names one, and whether its parameters are valid."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from proctor import plugins
from proctor.checks.unchanged import content_of
from proctor.config import shape
from proctor.config.node import Node
from proctor.config.problem import Complaint, Path_
from proctor.core.figure import figure, written
from proctor.core.secret import Secret, look_up

_ENV: Final = "env:"
SERVICES: Final = {
    "discord": "discord",
    "email": "mailto",
    "matrix": "matrix",
    "mattermost": "mmost",
    "ntfy": "ntfy",
    "slack": "slack",
    "teams": "msteams",
    "telegram": "tgram",
}
"""Channels that are the apprise notifier by another name, and the scheme that their URL has to
have: `use: slack` is short for `use: apprise, service: slack`."""
_LONGEST_FILE: Final = 65_536  # bytes; a secret is a line


@dataclass(slots=True)
class Plugged:
    """Validated parameters, and the contents of the paths that they name, by the path in the file
    of what they belong to; and complaints.

    A channel's values named by `env:` are Secret here, and listed in `secrets`.
    """

    checks: dict[Path_, dict[str, Any]] = field(default_factory=dict)
    contents: dict[Path_, dict[str, str]] = field(default_factory=dict)
    channels: dict[str, tuple[str, dict[str, Any]]] = field(default_factory=dict)
    complaints: list[Complaint] = field(default_factory=list)
    secrets: list[Secret] = field(default_factory=list)


def look(root: Node, base: Path, environ: Mapping[str, str]) -> Plugged:
    """Ask every plugin that the file uses. `base` is the folder of relative paths."""
    found = Plugged()
    try:
        checks, notifiers = plugins.checks(), plugins.notifiers()
    except plugins.PluginError as e:
        found.complaints.append(root.wrong(str(e), "Nothing can be built until then."))
        return found
    for pipeline in root.items("pipelines"):
        for check in pipeline.items("checks"):
            _check(check, pipeline, checks, base, found)
    for name, channel in root.entries("channels"):
        _channel(name, channel, notifiers, environ, found)
    return found


def _check(
    check: Node,
    pipeline: Node,
    known: plugins.Catalogue[Any],
    base: Path,
    found: Plugged,
) -> None:
    use = check.text("use")
    factory = _factory(check / "use", use, known, (), found)
    if use is None or factory is None:
        return
    node = check / "with"
    given = node.value if node.value is not None else {}
    if not isinstance(given, dict):
        return
    for path, value in _leaves(given):
        if isinstance(value, str) and value.startswith(_ENV):
            found.complaints.append(
                Complaint(
                    node.path + path,
                    "`env:` is for channels only",
                    "A check's parameters are recorded in the ledger: give it no secret here.",
                )
            )
    parameters = _validated(factory.Parameters, given, node.path, frozenset(), found)
    found.contents[check.path] = dict(_contents(factory.Parameters, given, node, base, found))
    if parameters is not None:
        found.checks[check.path] = parameters.model_dump(
            mode="json", by_alias=True, exclude_unset=True
        )
    found.complaints += _metrics(factory, check.text("name") or use, pipeline)
    found.complaints += _ranges(factory, check.text("name") or use, pipeline)


def _metrics(factory: object, name: str, pipeline: Node) -> Iterator[Complaint]:
    known = plugins.metrics_of(factory)
    for criterion in pipeline.items("gate"):
        check, _, metric = (criterion.text("metric") or "").partition("/")
        if check == name and metric and known is not None and metric not in known:
            near = plugins.nearest(metric, known)
            yield (criterion / "metric").wrong(
                f"check {name!r} reports no metric {metric!r}", near[0].upper() + near[1:]
            )


def _ranges(factory: object, name: str, pipeline: Node) -> Iterator[Complaint]:
    """A criterion that no revision can meet."""
    for criterion in pipeline.items("gate"):
        check, _, metric = (criterion.text("metric") or "").partition("/")
        low, high = plugins.range_of(factory, metric)
        if check != name:
            continue
        for key, limit, words in (("at_least", high, "more"), ("at_most", low, "less")):
            bound = (criterion / key).value
            if not isinstance(bound, int | float) or isinstance(bound, bool):
                continue
            if bound > limit if key == "at_least" else bound < limit:
                share = (low, high) == (0, 1) and 1 < bound <= 100
                remedy = (
                    f"Write a share: {figure(bound / 100)} for {written(bound)} %."
                    if share
                    else "Correct it."
                )
                yield (criterion / key).wrong(
                    f"{metric!r} cannot be {words} than {written(limit)}: nothing would pass",
                    remedy,
                )


def _contents(
    model: type[BaseModel], given: Mapping[str, Any], node: Node, base: Path, found: Plugged
) -> Iterator[tuple[str, str]]:
    """What the paths that the parameters name hold, by the path as written. Each has to exist."""
    for key, paths in plugins.paths_in(model, given).items():
        for path in paths:
            try:
                if (base / Path(path).expanduser()).exists():
                    yield path, content_of(base, path)
                    continue
                problem = f"{path!r} does not exist"
            except OSError as e:
                problem = f"{path!r} cannot be read: {e.strerror or e}"
            remedy = f"Paths are relative to {base}: correct it."
            found.complaints.append((node / key).wrong(problem, remedy))


def _channel(
    name: str,
    channel: Node,
    known: plugins.Catalogue[Any],
    environ: Mapping[str, str],
    found: Plugged,
) -> None:
    use = channel.text("use")
    service = use if use is not None and use in SERVICES and use not in known else None
    factory = _factory(channel / "use", "apprise" if service else use, known, SERVICES, found)
    if use is None or factory is None:
        return
    unset: set[Path_] = set()

    def resolve(value: object, path: Path_) -> object:
        if isinstance(value, Mapping):
            return {k: resolve(v, (*path, k)) for k, v in value.items()}
        if isinstance(value, list):
            return [resolve(v, (*path, i)) for i, v in enumerate(value)]
        if isinstance(value, str) and value.startswith(_ENV):
            secret, complaint = _variable(value, channel.path + path, environ)
            if complaint:
                unset.add(path)
                found.complaints.append(complaint)
            else:
                found.secrets.append(secret)
            return secret
        return value

    written = {k: v for k, v in channel.value.items() if k != "use"}
    given = {k: resolve(v, (k,)) for k, v in written.items()}
    if service:
        given.setdefault("service", SERVICES[service])
    if _validated(factory.Parameters, given, channel.path, frozenset(unset), found) is not None:
        found.channels[name] = ("apprise" if service else use, given)


def _variable(
    value: str, path: Path_, environ: Mapping[str, str]
) -> tuple[Secret, Complaint | None]:
    name = value.removeprefix(_ENV)
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        problem = "`env:` is not followed by a variable's name"
        return Secret(""), Complaint(path, problem, 'Write "env:SLACK_WEBHOOK_URL".')
    try:
        text = look_up(environ, name, _file_text)
    except ValueError as e:
        return Secret(""), Complaint(path, str(e), "Set one of them, readable.")
    if text is None:
        remedy = f"Set it (or {name}_FILE, naming a file) where Proctor runs."
        return Secret(""), Complaint(path, f"the environment variable {name} is not set", remedy)
    return Secret(text), None


def _file_text(path: str) -> str:
    with Path(path).open("rb") as file:
        return file.read(_LONGEST_FILE).decode()


def _factory(
    node: Node,
    use: str | None,
    known: plugins.Catalogue[Any],
    also: tuple[str, ...] | Mapping[str, str],
    found: Plugged,
) -> plugins.Factory[Any] | None:
    if use is None:
        return None
    if use not in known:
        near = plugins.nearest(use, [*known, *also])
        found.complaints.append(
            node.wrong(
                f"no plugin {use!r} is installed", f"{near[0].upper()}{near[1:]} Or install it."
            )
        )
        return None
    try:
        return known[use]
    except plugins.PluginError as e:
        found.complaints.append(node.wrong(str(e), "Install what it needs, or remove the package."))
        return None


def _validated(
    model: type[BaseModel],
    given: Mapping[str, Any],
    path: Path_,
    unset: frozenset[Path_],
    found: Plugged,
) -> BaseModel | None:
    try:
        return model.model_validate(dict(given))
    except ValidationError as e:
        for complaint in shape.complaints(model, e, given, path):
            # A variable that is not set has been complained about already.
            if complaint.path[len(path) :] not in unset:
                found.complaints.append(complaint)
    return None


def _leaves(value: object, path: Path_ = ()) -> Iterator[tuple[Path_, object]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(inner, (*path, key))
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from _leaves(inner, (*path, i))
    else:
        yield path, value
