"""What things are called: repos, revisions, refs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import NewType

from proctor.core.errors import PermanentError

Revision = NewType("Revision", str)
"""A full 40-hex commit sha. Anything looser is a ref."""

_SHA = re.compile(r"[0-9a-f]{40}")


class RepoType(StrEnum):
    """The kinds of repository that the Hub knows."""

    MODEL = "model"
    DATASET = "dataset"
    SPACE = "space"


@dataclass(frozen=True, slots=True)
class Repo:
    """A Hub repository. `hub_id` is stable; `name` ("org/name") moves with renames."""

    hub_id: str
    type: RepoType
    name: str
    private: bool = False


def parse_revision(text: str) -> Revision:
    """Return `text` as a revision. Raises PermanentError unless it is 40 lower-case hex digits."""
    if not _SHA.fullmatch(text):
        raise PermanentError(f"{text[:80]!r} is not a full commit sha (40 hex digits)")
    return Revision(text)


def is_revision(text: object) -> bool:
    """Whether `text` is a full commit sha."""
    return isinstance(text, str) and _SHA.fullmatch(text) is not None


def tag_ref(tag: str) -> str:
    """The full name of a tag's ref."""
    return f"refs/tags/{tag}"


def short(revision: str) -> str:
    """The first eight digits, for people."""
    return revision[:8]
