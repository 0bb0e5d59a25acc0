"""The registry's values: what we know of a repo at one revision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from proctor.core.evidence import Json
from proctor.core.names import Revision


@dataclass(frozen=True, slots=True)
class File:
    """A file of a revision. `oid` is git's blob id; `sha256` is known for large (LFS) files.
    `size` in bytes."""

    path: str
    size: int
    oid: str
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit. `created_at` in seconds since the epoch."""

    revision: Revision
    title: str
    authors: tuple[str, ...]
    created_at: float


@dataclass(frozen=True, slots=True)
class Description:
    """One revision as the Hub describes it. `labels` are the Hub's metadata tags."""

    revision: Revision
    card: Mapping[str, Json] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    files: tuple[File, ...] = ()
    pipeline_tag: str | None = None
    library: str | None = None
    last_modified: float | None = None


WEIGHTS = (".safetensors", ".bin", ".gguf", ".onnx", ".pt", ".pth", ".h5", ".msgpack", ".ckpt")


BEGINNING = (".gitattributes", ".gitignore", "readme.md", "license")
"""Files, in lower case, that a repo may have before anything was pushed to it."""


def bare(new: Description) -> bool:
    """Whether the revision holds no more than a repo begins with: the Hub makes a first commit of
    its own, with a .gitattributes."""
    return all(file.path.lower() in BEGINNING for file in new.files)


def changed(old: Description | None, new: Description) -> tuple[str, ...]:
    """Which kinds of file differ: any of "weights", "tokenizer", "config", "card", "other".

    Without an old description everything that exists counts as changed.
    """
    before = {f.path: f.oid for f in old.files} if old else {}
    after = {f.path: f.oid for f in new.files}
    paths = {p for p in before.keys() | after.keys() if before.get(p) != after.get(p)}
    return tuple(sorted({_kind(path) for path in paths}))


def _kind(path: str) -> str:
    name = path.rsplit("/", 1)[-1].lower()
    if name == "readme.md":
        return "card"
    if name.endswith(WEIGHTS) or name.endswith(".safetensors.index.json"):
        return "weights"
    if name.startswith(("tokenizer", "vocab", "merges", "special_tokens", "added_tokens")):
        return "tokenizer"
    return "config" if name.endswith("config.json") else "other"
