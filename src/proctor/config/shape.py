"""From pydantic's errors to complaints that name the remedy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from proctor.config.model import NOT_YET
from proctor.config.problem import Complaint, Path_
from proctor.plugins import nearest

_KINDS: Final = {
    "string_type": "text",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "float_type": "a number",
    "float_parsing": "a number",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
}
_REMEDIES: Final = {
    "text": "Put it in quotes if it looks like a number or a list.",
    "a list": "Write [a, b], or lines that begin with '- '.",
    "a mapping": "Write `key: value` pairs.",
    "a number": "Write it without quotes or units.",
    "a whole number": "Write it without quotes or units.",
    "true or false": "Write true or false, without quotes.",
}


def complaints(
    model: type[BaseModel], error: ValidationError, value: object, path: Path_ = ()
) -> Iterator[Complaint]:
    """What pydantic found wrong with `value`, which is at `path` of the document."""
    told: set[Path_] = set()
    for detail in error.errors(include_url=False):
        complaint = _complaint(model, detail, value, path)
        if complaint.path not in told:  # a union complains once for each of its branches
            told.add(complaint.path)
            yield complaint


def _complaint(
    model: type[BaseModel], detail: ErrorDetails, value: object, path: Path_
) -> Complaint:
    loc = tuple(part for part in detail["loc"] if part != "[key]")
    where = _written(value, loc)
    kind, name = detail["type"], _named(where)
    if kind == "extra_forbidden":
        if name in NOT_YET:
            return Complaint(
                path + where, f"{name!r} is not in this version yet", NOT_YET[name], key=True
            )
        known = _fields(model, loc[:-1])
        given = _at(value, where[:-1])
        free = known - (set(given) if isinstance(given, Mapping) else set())
        remedy = nearest(name, free or known)
        return Complaint(
            path + where, f"unknown key {name!r}", f"{remedy[0].upper()}{remedy[1:]}", key=True
        )
    if kind == "missing":
        return Complaint(path + where, f"{name!r} is missing", f"Add `{name}: …`.", key=True)
    if kind in ("too_short", "list_too_short"):
        return Complaint(path + where, f"{name!r} is empty", _FILL.get(name, "Add one."), key=True)
    if kind in _KINDS:
        wanted = _KINDS[kind]
        if not name:
            return Complaint((), f"the file should be {wanted}", _REMEDIES[wanted])
        return Complaint(path + where, f"{name!r} should be {wanted}", _REMEDIES[wanted])
    message = detail["msg"].removeprefix("Value error, ").removeprefix("Input ").rstrip(".")
    return Complaint(path + where, f"{name!r} {message}" if name else message, "Correct it.")


def _named(path: Path_) -> str:
    """What a path is called: its last key, and the item of a list counted from 1."""
    keys = [part for part in path if isinstance(part, str)]
    item = f"item {path[-1] + 1} of " if path and isinstance(path[-1], int) else ""
    return item + (keys[-1] if keys else "")


_FILL: Final = {
    "pipelines": "Add a pipeline: nothing happens without one.",
    "checks": "Add a check: what is not measured cannot be judged.",
    "gate": "Add a criterion, such as {metric: files/unsafe_files, at_most: 0}: a gate without "
    "one passes nothing.",
}


def _written(value: object, loc: tuple[str | int, ...]) -> Path_:
    """The part of pydantic's location that is a path of the document: for unions pydantic names
    the branch that it tried as well."""
    path: list[str | int] = []
    for place, part in enumerate(loc):
        if isinstance(value, Mapping):
            if part in value:
                path.append(part)
                value = value[part]
            elif place == len(loc) - 1:
                path.append(part)  # the key that is missing
        elif isinstance(value, list) and isinstance(part, int) and part < len(value):
            path.append(part)
            value = value[part]
    return tuple(path)


def _at(value: object, path: Path_) -> object:
    for part in path:
        if isinstance(value, Mapping | list):
            value = value[part]  # type: ignore[index]  # _written walked it before
    return value


def _fields(model: type[BaseModel], loc: tuple[str | int, ...]) -> set[str]:
    """The keys that the model at `loc` below `model` knows."""
    found: object = model
    for part in loc:
        if isinstance(part, int) or not _is_model(found):
            continue
        for name, info in _model(found).model_fields.items():
            if part in (name, info.alias):
                found = _inner(info.annotation) or found
    return {info.alias or name for name, info in _model(found).model_fields.items()}


def _is_model(found: object) -> bool:
    return isinstance(found, type) and issubclass(found, BaseModel)


def _model(found: object) -> type[BaseModel]:
    assert isinstance(found, type) and issubclass(found, BaseModel)
    return found


def _inner(annotation: object) -> type[BaseModel] | None:
    """The model within an annotation such as list[Model]."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        found = _inner(inner)
        if found:
            return found
    return None
