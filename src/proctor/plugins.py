"""Plugins: checks and notifiers by name, through entry points. Built-ins use the same door.

A plugin is a class (or another factory) with an attribute `Parameters`, a pydantic model that
refuses unknown fields. It is called with one instance of that model, and its docstring is its
user documentation. A check plugin may also have `metrics`, a mapping of every metric name it can
report to its meaning, so that a gate's spelling is checked before anything runs; and `ranges`, a
mapping of metric names to the least and the most that they can be, so that no gate asks for what
cannot be.

Names are read from the installed packages' metadata; a plugin's module is imported when the
plugin is first asked for.
"""

from __future__ import annotations

import difflib
import inspect
import math
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Final, Generic, Protocol, TypeVar, cast

from pydantic import BaseModel, ValidationError

from proctor.core.errors import ProctorError
from proctor.core.rule import Channel, CheckSpec
from proctor.core.secret import redact, secrets_in
from proctor.ports.check import Check
from proctor.ports.notifier import Notifier

CHECKS: Final = "proctor.checks"
NOTIFIERS: Final = "proctor.notifiers"

Made = TypeVar("Made", covariant=True)
Made_ = TypeVar("Made_")


class Factory(Protocol[Made]):
    """What an entry point names."""

    @property
    def Parameters(self) -> type[BaseModel]:  # noqa: N802 - a class by its class name
        """The model that validates what the configuration gives."""
        ...

    def __call__(self, parameters: BaseModel, /) -> Made:
        """The plugin itself."""
        ...


class PluginError(ProctorError):
    """A plugin is not there, there twice, cannot be imported, or refuses its parameters."""


class UnknownPlugin(PluginError, KeyError):
    """No installed package offers a plugin of that name; the message names the nearest one."""

    __str__ = Exception.__str__  # KeyError would show the message in quotes


class Catalogue(Mapping[str, Factory[Made_]], Generic[Made_]):
    """The plugins of one entry-point group by name. Looking one up imports its module."""

    def __init__(self, group: str, found: Iterable[EntryPoint] | None = None) -> None:
        """Raises PluginError when two packages offer different plugins under one name."""
        self.group = group
        self._points: dict[str, EntryPoint] = {}
        for point in entry_points(group=group) if found is None else found:
            other = self._points.setdefault(point.name, point)
            if other.value != point.value:
                raise PluginError(
                    f"two packages offer a plugin {point.name!r} for {group}: "
                    f"{_origin(other)} and {_origin(point)}; uninstall one"
                )

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._points))

    def __len__(self) -> int:
        return len(self._points)

    def __contains__(self, name: object) -> bool:
        return name in self._points

    def __getitem__(self, name: str) -> Factory[Made_]:
        """Raises UnknownPlugin, or PluginError when the plugin cannot be imported."""
        point = self._points.get(name)
        if point is None:
            raise UnknownPlugin(f"no plugin {name!r} for {self.group}; {nearest(name, self)}")
        try:
            factory = point.load()
        except Exception as e:  # a stranger's module may raise anything
            raise PluginError(
                f"plugin {name!r} of {_origin(point)} cannot be imported: {type(e).__name__}: {e}"
            ) from e
        model = getattr(factory, "Parameters", None)
        if not callable(factory) or not (isinstance(model, type) and issubclass(model, BaseModel)):
            raise PluginError(
                f"plugin {name!r} of {_origin(point)} has no pydantic model `Parameters`"
            )
        return cast("Factory[Made_]", factory)


def _origin(point: EntryPoint) -> str:
    return f"{point.dist.name} ({point.value})" if point.dist else point.value


def nearest(name: str, known: Iterable[str]) -> str:
    """What to say about a name that is not known: the nearest one, or all of them."""
    names = sorted(set(known))
    near = difflib.get_close_matches(name, names, n=1)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"known: {', '.join(names)}" if names else "there are none"


def checks() -> Catalogue[Check]:
    """The installed checks."""
    return Catalogue(CHECKS)


def notifiers() -> Catalogue[Notifier]:
    """The installed notifiers."""
    return Catalogue(NOTIFIERS)


def documentation(factory: object) -> str:
    """A plugin's user documentation: its docstring."""
    return inspect.getdoc(factory) or ""


def metrics_of(factory: object) -> Mapping[str, str] | None:
    """Every metric that a check can report, with its meaning; None when it does not say."""
    found = getattr(factory, "metrics", None)
    return found if isinstance(found, Mapping) else None


def range_of(factory: object, metric: str) -> tuple[float, float]:
    """The least and the most that a metric of a check can be; infinite where the check does not
    say. Metrics of different tasks ("arith/acc@strict") have the range of their last name."""
    ranges = getattr(factory, "ranges", None)
    name = metric.rpartition("/")[2].partition("@")[0]
    found = ranges.get(name) if isinstance(ranges, Mapping) else None
    return found if found is not None else (-math.inf, math.inf)


def paths_in(model: type[BaseModel], given: Mapping[str, object]) -> Mapping[str, tuple[str, ...]]:
    """What the fields that are paths (by their type, or called include_path) name, as given or by
    default, by the field's name in the configuration."""
    found = {}
    for name, field in model.model_fields.items():
        if name == "include_path" or _mentions_path(field.annotation):
            key = field.alias or name
            value = given.get(key, field.default)
            several = value if isinstance(value, list | tuple) else (value,)
            found[key] = tuple(str(each) for each in several if isinstance(each, str | Path))
    return found


def _mentions_path(annotation: object) -> bool:
    if isinstance(annotation, type) and not hasattr(annotation, "__args__"):
        return issubclass(annotation, Path)
    return any(_mentions_path(a) for a in getattr(annotation, "__args__", ()))


def build_check(spec: CheckSpec) -> Check:
    """The check that a pipeline asks for. Raises PluginError."""
    factory = checks()[spec.use]
    return factory(_validated(factory, spec.parameters, f"check {spec.name!r}"))


def build_notifier(channel: Channel) -> Notifier:
    """The notifier of a channel. Raises PluginError, which holds no secret."""
    factory = notifiers()[channel.use]
    return factory(_validated(factory, channel.parameters, f"channel {channel.name!r}"))


def _validated(factory: Factory[object], given: Mapping[str, object], whose: str) -> BaseModel:
    try:
        return factory.Parameters.model_validate(dict(given))
    except ValidationError as e:
        # Only place and message are told: the input may be a secret.
        told = "; ".join(
            f"{'.'.join(str(part) for part in error['loc'])}: {error['msg']}"
            for error in e.errors(include_input=False, include_url=False, include_context=False)
        )
        problem = redact(told, secrets_in(given))
    raise PluginError(f"{whose}: {problem}")
