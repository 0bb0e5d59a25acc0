"""JSON from a stranger: read strictly, and never with a surprise."""

from __future__ import annotations

import json
from typing import Final, NoReturn

import orjson

from proctor.core.errors import PermanentError
from proctor.core.evidence import Json

LONGEST_NUMBER: Final = 400
"""Digits of an integer. Python refuses more than 4,300, unless it was told otherwise: a limit of
our own does not depend on that. https://docs.python.org/3/library/stdtypes.html#int-max-str-digits"""


class Unreadable(PermanentError):
    """An authentic body that cannot be understood; the message is the reason in plain words and
    holds nothing unprintable."""


def read(body: bytes) -> Json:
    """The value that `body` holds. Raises Unreadable, and nothing else.

    Stricter than the standard library where a sender and a reader could disagree: UTF-8 only, no
    NaN or Infinity, no key twice in one object (https://www.rfc-editor.org/rfc/rfc8259#section-4).
    """
    try:
        value: Json = orjson.loads(body)
        # Written again it is the same, byte for byte: no key was there twice, no number lost a
        # digit, no text was put right. So are nearly all (JSON.stringify writes as orjson does),
        # and to find it out takes a third of the time of reading them as below.
        if orjson.dumps(value) == body:
            return value
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        pass  # what is wrong with it is told below, if anything is
    return _read_closely(body)


def _read_closely(body: bytes) -> Json:
    if not body.strip():
        raise Unreadable("the body is empty")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as e:
        raise Unreadable(f"the body is not UTF-8 text (byte {e.start})") from None
    try:
        value: Json = _DECODER.decode(text)
    except json.JSONDecodeError as e:
        raise Unreadable(f"the body is not JSON: {e.msg} (character {e.pos})") from None
    except RecursionError:
        raise Unreadable("the body is nested too deeply") from None
    return value


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen = set[str]()
        # `add` gives None, so this is the first key that was seen before.
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]  # meant
        raise Unreadable(f"the key {shown(twice)} is there twice: which is meant is not known")
    return found


def _no_constant(name: str) -> NoReturn:
    raise Unreadable(f"the body is not JSON: {name} is not a number")


def _integer(digits: str) -> int:
    if len(digits) > LONGEST_NUMBER:
        raise Unreadable(f"the body holds a number of {len(digits)} digits")
    return int(digits)


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_unique, parse_constant=_no_constant, parse_int=_integer
)


def shown(text: str, limit: int = 60) -> str:
    """`text` for a message: one short line of printable ASCII, whatever it holds."""
    safe = ascii(text[: limit + 1])
    return safe if len(safe) <= limit else f"{safe[:limit]}…"
