"""Values that must not be seen, and texts that must not show them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final
from urllib.parse import unquote

HIDDEN: Final = "***"
"""What stands where a secret was."""

_TOKEN = re.compile(r"hf_[A-Za-z0-9]{8,}")
_PASSWORD = re.compile(r"(?P<head>[A-Za-z][A-Za-z0-9+.-]*://[^\s/?#:@]*:)[^\s/?#]+(?=@)")
_LEAST = 4  # shorter secrets occur in ordinary words: hiding them would garble every text
_LEAST_PART = 6  # the same for parts of URLs


class Secret:
    """A text that repr, str, format and JSON never show; `reveal` is the only way to it.

    Pydantic models may use it as a field type: it takes a string or a Secret, and its schema is
    that of a string.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself. Call it only where it is handed to what needs it."""
        return self._text

    def __repr__(self) -> str:
        return f"Secret({HIDDEN!r})"

    def __str__(self) -> str:
        return HIDDEN

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("a Secret is not pickled: it must not reach a queue, a cache or a row")

    def __deepcopy__(self, memo: object) -> Secret:
        return self

    @classmethod
    def of(cls, value: object) -> Secret:
        """`value` as a Secret. Raises ValueError (which does not show it) unless it is text."""
        if isinstance(value, Secret):
            return value
        if isinstance(value, str):
            return cls(value)
        raise ValueError(f"should be text, not {type(value).__name__}")

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: object) -> dict[str, object]:
        # A core schema is a plain dictionary, so core keeps to the standard library.
        # https://docs.pydantic.dev/latest/concepts/types/#customizing-validation-with-__get_pydantic_core_schema__
        return {
            "type": "function-plain",
            "function": {"type": "no-info", "function": cls.of},
            "serialization": {"type": "to-string", "when_used": "json"},
        }

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: object, handler: object) -> dict[str, object]:
        return {"type": "string", "writeOnly": True}


def redact(text: str, secrets: Iterable[Secret] = ()) -> str:
    """`text` without any of `secrets`, Hub tokens (hf_…) or passwords in URLs.

    Of a secret that is a URL, the parts that are secret by custom go too (user, password, path,
    query, and the host where a scheme other than http puts a token): libraries quote them apart.
    """
    parts = {part for secret in secrets for part in _parts(secret.reveal())}
    for part in sorted(parts, key=len, reverse=True):
        text = text.replace(part, HIDDEN)
    return _PASSWORD.sub(rf"\g<head>{HIDDEN}", _TOKEN.sub(HIDDEN, text))


def _parts(secret: str) -> set[str]:
    found: set[str] = set()
    scheme, is_url, rest = secret.partition("://")
    if is_url:
        authority, _, tail = rest.partition("/")
        user, has_user, host = authority.rpartition("@")
        found |= {tail, *re.split(r"[/?&=#]", tail)}
        found |= {user, *user.split(":")} if has_user else set()
        found |= {host} if not scheme.startswith("http") else set()
        found |= {unquote(part) for part in found}
    whole = {secret} if len(secret) >= _LEAST else set()
    return whole | {part for part in found if len(part) >= _LEAST_PART}


def look_up(environ: Mapping[str, str], name: str, read: Callable[[str], str]) -> str | None:
    """The variable `name`, or the text of the file that `name`_FILE points to; None when neither
    is set (an empty one counts as not set).

    `read` returns a file's text and may raise OSError or UnicodeDecodeError. Raises ValueError,
    saying what is wrong, when both are set or the file cannot be read.
    """
    plain, pointed = environ.get(name, ""), environ.get(f"{name}_FILE", "")
    if plain and pointed:
        raise ValueError(f"{name} and {name}_FILE are both set")
    if not pointed:
        return plain or None
    try:
        text = read(pointed).rstrip("\r\n")
    except OSError as e:
        raise ValueError(f"{name}_FILE: {pointed} cannot be read ({e.strerror or e})") from e
    except UnicodeDecodeError as e:
        raise ValueError(f"{name}_FILE: {pointed} is not UTF-8 text") from e
    if not text:
        raise ValueError(f"{name}_FILE: {pointed} is empty")
    return text


def secrets_in(value: object) -> Iterator[Secret]:
    """Every Secret within nested parameters."""
    return (leaf for leaf in leaves(value) if isinstance(leaf, Secret))


def leaves(value: object) -> Iterator[object]:
    """Whatever nested mappings and lists hold."""
    if isinstance(value, Mapping):
        for inner in value.values():
            yield from leaves(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from leaves(inner)
    else:
        yield value
