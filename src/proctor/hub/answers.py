"""The Hub's JSON as values of the core. Pure."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence

from proctor.core.errors import PermanentError
from proctor.core.evidence import Json
from proctor.core.names import Repo, RepoType, Revision, parse_revision
from proctor.core.registry import Commit, Description, File


def as_object(answer: Json) -> Mapping[str, Json]:
    """The answer, which has to be an object."""
    if not isinstance(answer, Mapping):
        raise PermanentError("the Hub answered no JSON object")
    return answer


def repo(type: RepoType, answer: Json) -> Repo:
    """A repo from its info or from an item of a list."""
    told = as_object(answer)
    return Repo(text(told, "_id"), type, text(told, "id"), told.get("private") is True)


def head(answer: Json) -> Revision | None:
    """The head of main from an item of a list."""
    sha = as_object(answer).get("sha")
    return parse_revision(sha) if isinstance(sha, str) else None


def description(answer: Json, files: Sequence[File]) -> Description:
    """A revision from the repo's info."""
    told = as_object(answer)
    card = told.get("cardData")
    tags = told.get("tags")
    modified = told.get("lastModified")
    return Description(
        revision=parse_revision(text(told, "sha")),
        card=dict(card) if isinstance(card, Mapping) else {},
        labels=tuple(str(tag) for tag in tags) if isinstance(tags, list) else (),
        files=tuple(files),
        pipeline_tag=optional(told, "pipeline_tag"),
        library=optional(told, "library_name"),
        last_modified=seconds(modified) if isinstance(modified, str) else None,
    )


def siblings(answer: Json) -> Sequence[File] | None:
    """The files from the repo's info, or None where it does not list them whole."""
    listed = as_object(answer).get("siblings")
    if not isinstance(listed, list):
        return None
    found = []
    for item in map(as_object, listed):
        if not isinstance(item.get("blobId"), str) or not isinstance(item.get("size"), int):
            return None
        lfs = item.get("lfs")
        large = lfs if isinstance(lfs, Mapping) else {}
        size = number(large if "size" in large else item, "size")
        found.append(
            File(text(item, "rfilename"), size, text(item, "blobId"), optional(large, "sha256"))
        )
    return found


def tree_file(answer: Json) -> File | None:
    """A file from an item of the tree; None for a folder. Its LFS `oid` is the sha256."""
    item = as_object(answer)
    if item.get("type") != "file":
        return None
    lfs = item.get("lfs")
    large = lfs if isinstance(lfs, Mapping) else {}
    size = number(large if "size" in large else item, "size")
    return File(text(item, "path"), size, text(item, "oid"), optional(large, "oid"))


def commit(answer: Json) -> Commit:
    """A commit from an item of the history."""
    item = as_object(answer)
    told = item.get("authors")
    authors = told if isinstance(told, list) else []
    named = [author.get("user") for author in authors if isinstance(author, Mapping)]
    return Commit(
        revision=parse_revision(text(item, "id")),
        title=optional(item, "title") or "",
        authors=tuple(name for name in named if isinstance(name, str)),
        created_at=seconds(text(item, "date")),
    )


def text(told: Mapping[str, Json], key: str) -> str:
    """A string that has to be there."""
    value = told.get(key)
    if not isinstance(value, str) or not value:
        raise PermanentError(f"the Hub's answer has no {key}")
    return value


def optional(told: Mapping[str, Json], key: str) -> str | None:
    """A string that may be there."""
    value = told.get(key)
    return value if isinstance(value, str) else None


def number(told: Mapping[str, Json], key: str) -> int:
    """A whole number, not negative, that has to be there."""
    value = told.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise PermanentError(f"the Hub's answer has no {key}")
    return value


def seconds(stamp: str) -> float:
    """Seconds since the epoch of an ISO 8601 time; without a zone it is UTC."""
    try:
        moment = datetime.datetime.fromisoformat(stamp)
    except ValueError:
        raise PermanentError(f"the Hub's answer has no time in {stamp[:40]!r}") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)).timestamp()
