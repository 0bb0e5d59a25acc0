"""Text from elsewhere, made fit for a terminal and for a log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def harmless(facts: Any) -> Any:
    """JSON values with every character that steers a terminal, or hides what it shows, written out
    as an escape ("\\x1b"). Pushers and senders choose some of these texts; lines stay lines."""
    if isinstance(facts, str):
        return facts if facts.isprintable() else "".join(map(_shown, facts))
    if isinstance(facts, Mapping):
        return {harmless(name): harmless(value) for name, value in facts.items()}
    if isinstance(facts, Sequence):
        return [harmless(value) for value in facts]
    return facts


def _shown(character: str) -> str:
    if character.isprintable() or character == "\n":
        return character
    return character.encode("unicode_escape").decode()
