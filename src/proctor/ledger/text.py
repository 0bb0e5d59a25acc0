"""Strings that any database takes: what cannot be stored is escaped, and comes back as it was."""

from __future__ import annotations

import re

# PostgreSQL refuses NUL in text (https://www.postgresql.org/docs/current/datatype-character.html),
# and lone surrogates have no UTF-8. The escape sign itself is escaped too, so no two strings share
# a stored form, and equality in SQL is equality in Python.
_ESCAPE = "\x10"  # "data link escape": in ASCII for just this
_UNSTORABLE = re.compile("[\x00\x10\ud800-\udfff]")
_ESCAPED = re.compile("\x10([0-9a-f]{4})")


def escape(text: str) -> str:
    """`text` in a form that UTF-8 and PostgreSQL can hold; ordinary strings stay as they are."""
    if text.isprintable() or _UNSTORABLE.search(text) is None:  # the first is several times faster
        return text
    return _UNSTORABLE.sub(lambda found: f"{_ESCAPE}{ord(found[0]):04x}", text)


def unescape(stored: str) -> str:
    """The opposite of `escape`."""
    if _ESCAPE not in stored:
        return stored
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), stored)
