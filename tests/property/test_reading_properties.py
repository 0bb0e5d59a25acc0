"""Reading quickly finds what reading closely finds, in any bytes."""

from __future__ import annotations

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proctor.core import strict_json
from proctor.core.strict_json import Unreadable, read

texts = st.text(max_size=8)
numbers = (
    st.integers() | st.integers(-(2**65), 2**65) | st.floats(allow_nan=False, allow_infinity=False)
)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda v: st.lists(v, max_size=4) | st.dictionaries(texts, v, max_size=4),
    max_leaves=12,
)

NUMERALS = ["-0", "-0.0", "1.0", "1e2", "1E2", "1e+30", "1e30", "0.10", "1e999", "00", "1" * 25]
"""Spellings of numbers on which readers differ."""


@st.composite
def spelled(draw: st.DrawFn) -> bytes:
    """JSON as one or another program writes it, or nearly so."""
    value = draw(values)
    spelling = draw(st.sampled_from(["compact", "wide", "ascii", "twice", "numeral", "cut"]))
    compact = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    match spelling:
        case "wide":
            text = json.dumps(value, ensure_ascii=False, indent=1)
        case "ascii":
            text = json.dumps(value, separators=(",", ":"))
        case "twice":
            key = json.dumps(draw(texts), ensure_ascii=False)
            text = f"{{{key}:0,{key}:{compact}}}"
        case "numeral":
            text = f"[{compact},{draw(st.sampled_from(NUMERALS))}]"
        case "cut":
            text = compact[: draw(st.integers(0, len(compact)))]
        case _:
            text = compact
    return text.encode("utf-8", "surrogatepass")


def _outcome(body: bytes, closely: bool) -> str:
    try:
        return repr((strict_json._read_closely if closely else read)(body))
    except Unreadable as e:
        return f"unreadable: {e}"


@given(spelled() | st.binary(max_size=30))
def test_quick_and_close_reading_agree(body: bytes) -> None:
    assert _outcome(body, closely=False) == _outcome(body, closely=True)


@given(values)
def test_what_the_hub_writes_is_read_quickly(value: object) -> None:
    """Else the quick way would be no use: this is what JSON.stringify writes, with UTF-8."""
    try:
        body = orjson.dumps(value)
    except TypeError:  # an integer that JavaScript has not
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.delattr(strict_json, "_read_closely")
        assert repr(read(body)) == repr(value)
