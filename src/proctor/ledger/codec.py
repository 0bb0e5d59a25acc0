"""Core values as JSON text, and back.

The shape follows the dataclass: a mapping by field name. Reading ignores what it does not know and
leaves a missing field to its default, so rows outlive a change of the values.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeAlias, Union, get_args, get_origin, get_type_hints

from proctor.core.gate import Criterion, criterion_from, criterion_json
from proctor.ledger.text import escape, unescape

Decoder: TypeAlias = Callable[[Any], Any]

_CRITERIA = get_args(Criterion)
_SCALARS = (str, int, float, bool)


def dumps(value: object) -> str:
    """`value` as JSON in plain ASCII. Raises TypeError for what JSON cannot hold."""
    return json.dumps(_plain(value), ensure_ascii=True, separators=(",", ":"))


def loads(text: str, type_: Any) -> Any:
    """The value of type `type_` that `dumps` wrote."""
    return decoder(type_)(json.loads(text))


def _plain(value: object) -> object:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, str):
        # JSON's own escapes would join two lone surrogates that stand side by side.
        return escape(value)
    if value is None or isinstance(value, _SCALARS):
        return value
    if isinstance(value, _CRITERIA):
        return _plain(criterion_json(value))
    if is_dataclass(value):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {_key(k): _plain(v) for k, v in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return [_plain(v) for v in value]
    raise TypeError(f"JSON cannot hold a {type(value).__name__}")


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise TypeError(f"JSON keys are strings, not {type(key).__name__}")
    return escape(key)


def _as_it_was(value: Any) -> Any:
    if isinstance(value, str):
        return unescape(value)
    if isinstance(value, list):
        return [_as_it_was(v) for v in value]
    if isinstance(value, dict):
        return {unescape(k): _as_it_was(v) for k, v in value.items()}
    return value


@cache
def decoder(type_: Any) -> Decoder:
    """What turns parsed JSON into a `type_`. Raises TypeError for a type it does not know."""
    type_ = getattr(type_, "__supertype__", type_)
    if type_ == Criterion or type_ in _CRITERIA:
        return lambda value: criterion_from(_as_it_was(value))
    origin, arguments = get_origin(type_), get_args(type_)
    if type_ in _SCALARS:
        return _as_it_was
    if isinstance(type_, type) and issubclass(type_, Enum):
        return type_
    if isinstance(type_, type) and is_dataclass(type_):
        return _dataclass_decoder(type_)
    if origin is tuple:
        return _tuple_decoder(arguments)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return _mapping_decoder(arguments[1])
    if origin in (Union, UnionType) and NoneType in arguments and len(arguments) == 2:
        inner = decoder(next(a for a in arguments if a is not NoneType))
        return lambda value: None if value is None else inner(value)
    raise TypeError(f"no JSON form is known for {type_!r}")


def _dataclass_decoder(cls: type) -> Decoder:
    hints = get_type_hints(cls)
    known = {f.name: decoder(hints[f.name]) for f in fields(cls)}

    def decode(value: Any) -> Any:
        return cls(**{name: known[name](part) for name, part in value.items() if name in known})

    return decode


def _tuple_decoder(arguments: tuple[Any, ...]) -> Decoder:
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        each = decoder(arguments[0])
        return lambda value: tuple(each(v) for v in value)
    parts = [decoder(a) for a in arguments]
    return lambda value: tuple(part(v) for part, v in zip(parts, value, strict=True))


def _mapping_decoder(type_: Any) -> Decoder:
    if get_origin(type_) in (Union, UnionType):  # Json: whatever was written
        return _as_it_was
    inner = decoder(type_)
    return lambda value: {unescape(k): inner(v) for k, v in value.items()}
