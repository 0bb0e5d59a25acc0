"""A repository in memory: commits, refs, files."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from proctor.core.errors import RevisionGone
from proctor.core.evidence import Json
from proctor.core.names import Repo, Revision
from proctor.core.registry import WEIGHTS, Commit, Description, File

MAIN = "refs/heads/main"


@dataclass(frozen=True, slots=True)
class StoredCommit:
    """A commit with the whole tree that it left behind."""

    commit: Commit
    parent: Revision | None
    files: Mapping[str, bytes]


@dataclass(slots=True)
class StoredRepo:
    """A repo with its refs and commits; `discussions` counts what was opened."""

    repo: Repo
    refs: dict[str, Revision] = field(default_factory=dict)
    commits: dict[Revision, StoredCommit] = field(default_factory=dict)
    discussions: int = 0

    @property
    def head(self) -> Revision | None:
        """Where main points."""
        return self.refs.get(MAIN)

    def add_commit(
        self, ref: str, changes: Mapping[str, bytes | None], title: str, at: float
    ) -> Revision:
        """Put a commit on top of `ref` (of main, where `ref` is new) and move the ref there."""
        parent = self.refs.get(ref, self.head)
        files = dict(self.commits[parent].files) if parent else {}
        for path, content in changes.items():
            if content is None:
                files.pop(path, None)
            else:
                files[path] = content
        tree = sorted((path, blob_oid(content)) for path, content in files.items())
        told = repr((self.repo.hub_id, len(self.commits), parent, tree, title)).encode()
        revision = Revision(_sha1(told))
        commit = Commit(revision, title, ("someone",), at)
        self.commits[revision] = StoredCommit(commit, parent, files)
        self.refs[ref] = revision
        return revision

    def at(self, revision: Revision) -> StoredCommit:
        """The commit. Raises RevisionGone."""
        found = self.commits.get(revision)
        if found is None:
            raise RevisionGone(f"{self.repo.name} has no revision {revision}")
        return found

    def history(self, revision: Revision, limit: int) -> Sequence[Commit]:
        """The newest `limit` commits up to `revision`, newest first."""
        found: list[Commit] = []
        next_up: Revision | None = revision
        while next_up is not None and len(found) < limit:
            stored = self.at(next_up)
            found.append(stored.commit)
            next_up = stored.parent
        return found

    def describe(self, revision: Revision) -> Description:
        """Card, labels and files of this revision."""
        stored = self.at(revision)
        card = _card(stored.files.get("README.md", b""))
        pipeline_tag, library = card.get("pipeline_tag"), card.get("library_name")
        return Description(
            revision=revision,
            card=card,
            labels=_labels(card),
            files=tuple(_file(path, content) for path, content in sorted(stored.files.items())),
            pipeline_tag=pipeline_tag if isinstance(pipeline_tag, str) else None,
            library=library if isinstance(library, str) else None,
            last_modified=stored.commit.created_at,
        )


def blob_oid(content: bytes) -> str:
    """Git's name for a blob: https://git-scm.com/book/en/v2/Git-Internals-Git-Objects"""
    return _sha1(b"blob %d\0" % len(content) + content)


def _sha1(content: bytes) -> str:
    return hashlib.sha1(content, usedforsecurity=False).hexdigest()


def _file(path: str, content: bytes) -> File:
    if not path.endswith(WEIGHTS):
        return File(path, len(content), blob_oid(content))
    sha256 = hashlib.sha256(content).hexdigest()
    # Git holds a pointer in place of a large file:
    # https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md
    pointer = (
        f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {len(content)}\n"
    )
    return File(path, len(content), blob_oid(pointer.encode()), sha256)


def _card(readme: bytes) -> dict[str, Json]:
    parts = readme.decode("utf-8", "replace").split("---\n", 2)
    if len(parts) < 3 or parts[0].strip():
        return {}
    try:
        loaded = YAML(typ="safe", pure=True).load(parts[1])
    except YAMLError:
        return {}
    safe = _json(loaded)
    return dict(safe) if isinstance(safe, Mapping) else {}


def _json(value: object) -> Json:
    if isinstance(value, Mapping):
        return {str(key): _json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_json(item) for item in value]
    if isinstance(value, datetime.date):
        return value.isoformat()
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _labels(card: Mapping[str, Json]) -> tuple[str, ...]:
    tags = card.get("tags")
    found = [str(tag) for tag in tags] if isinstance(tags, list) else []
    if isinstance(card.get("license"), str):
        found.append(f"license:{card['license']}")
    return tuple(found)
