"""JSON from outside, refused where Python is more lenient than what comes after it."""

import json
import re

_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def parse(raw: bytes) -> object:
    """The JSON value in ``raw``. Raises ``ValueError`` for anything that is not JSON, among it
    NaN, nesting too deep for us, and halves of surrogate pairs, which no database takes."""
    try:
        loaded: object = json.loads(raw, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if _SURROGATE.search(raw):
        # Raises UnicodeEncodeError, which is a ValueError, where a half is left over.
        json.dumps(loaded, ensure_ascii=False).encode()
    return loaded


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
