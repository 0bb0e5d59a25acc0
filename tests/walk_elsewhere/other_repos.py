"""What the other Hub holds: repos, their commits and refs, and what people do to them."""

from __future__ import annotations

import hashlib
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Json = Any
Tell = Callable[["OtherRepo", str, str, Mapping[str, Json]], None]
"""Told of each event: the repo, scope, action, and what the payload says beside the repo."""

MAIN = "refs/heads/main"
_FIRST = {".gitattributes": b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n"}


class Refusal(Exception):
    """What the Hub answers instead: a status and an X-Error-Code ("" where none is documented)."""

    def __init__(self, status: int, code: str, words: str) -> None:
        super().__init__(words)
        self.status, self.code, self.words = status, code, words


@dataclass(frozen=True)
class Blob:
    """A file's bytes under git's name for them; large ones have a sha256 and are kept apart."""

    content: bytes
    large: bool

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @property
    def pointer(self) -> bytes:
        """https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md#the-pointer"""
        return (
            "version https://git-lfs.github.com/spec/v1\n"
            f"oid sha256:{self.sha256}\nsize {len(self.content)}\n"
        ).encode()

    @property
    def oid(self) -> str:
        stored = self.pointer if self.large else self.content
        head = b"blob %d\0" % len(stored)
        return hashlib.sha1(head + stored, usedforsecurity=False).hexdigest()


@dataclass(frozen=True)
class OtherCommit:
    """A commit with all its files."""

    oid: str
    parent: str | None
    title: str
    at: float
    files: Mapping[str, Blob]


@dataclass
class OtherRepo:
    """A repo. `kind` is as in addresses: models, datasets or spaces."""

    id: str
    kind: str
    name: str
    private: bool
    commits: dict[str, OtherCommit] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)

    def at(self, revision: str) -> OtherCommit:
        """The commit that a sha, branch, tag or full ref names."""
        for ref in (revision, f"refs/heads/{revision}", f"refs/tags/{revision}"):
            if ref in self.refs:
                return self.commits[self.refs[ref]]
        if revision in self.commits:
            return self.commits[revision]
        raise Refusal(404, "RevisionNotFound", f"{revision} leads nowhere")

    def history(self, revision: str) -> list[OtherCommit]:
        """The commits that lead to a revision, newest first."""
        found = [self.at(revision)]
        while found[-1].parent is not None:
            found.append(self.commits[found[-1].parent])
        return found


class OtherRepos:
    """All repos of the other Hub. Every method is one event in its life, safe over threads."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._lock = threading.RLock()
        self._repos: dict[tuple[str, str], OtherRepo] = {}
        self._moved: dict[tuple[str, str], str] = {}

    def find(self, kind: str, name: str) -> OtherRepo:
        """The repo of that very name."""
        with self._lock:
            if (kind, name) not in self._repos:
                raise Refusal(404, "RepoNotFound", f"nothing called {name} among the {kind}")
            return self._repos[(kind, name)]

    def moved_to(self, kind: str, name: str) -> str | None:
        """The new name, where the old one is nobody's."""
        with self._lock:
            return None if (kind, name) in self._repos else self._moved.get((kind, name))

    def of(self, kind: str, owner: str) -> list[OtherRepo]:
        """The repos of an owner, the last made first."""
        with self._lock:
            found = [r for r in self._repos.values() if r.kind == kind]
        return [repo for repo in reversed(found) if repo.name.startswith(f"{owner}/")]

    def create(
        self, kind: str, name: str, *, private: bool = False, files: Mapping[str, bytes] = _FIRST
    ) -> OtherRepo:
        """A repo with a first commit."""
        with self._lock:
            repo = OtherRepo(str(uuid.uuid4()), kind, name, private)
            self._repos[(kind, name)] = repo
            self._tell(repo, "repo", "create", {})
            self.commit(repo, files, "initial commit")
        return repo

    def commit(
        self, repo: OtherRepo, files: Mapping[str, bytes | None], title: str, ref: str = MAIN
    ) -> str:
        """Commit to a ref, made from main when missing; None removes a file."""
        with self._lock:
            parent = repo.refs.get(ref) or repo.refs.get(MAIN)
            held = dict(repo.commits[parent].files) if parent else {}
            for path, content in files.items():
                if content is None:
                    del held[path]
                else:
                    held[path] = Blob(content, large=path.endswith(".safetensors"))
            oid = hashlib.sha1(uuid.uuid4().bytes, usedforsecurity=False).hexdigest()
            repo.commits[oid] = OtherCommit(oid, parent, title, time.time(), held)
            self._point(repo, ref, oid)
        return oid

    def create_tag(self, repo: OtherRepo, tag: str, revision: str) -> None:
        """A tag; refused where there is one of that name."""
        with self._lock:
            target = repo.at(revision).oid
            if f"refs/tags/{tag}" in repo.refs:
                raise Refusal(409, "", f"the label {tag} is taken")
            self._point(repo, f"refs/tags/{tag}", target)

    def delete_tag(self, repo: OtherRepo, tag: str) -> None:
        """Remove a tag."""
        with self._lock:
            if f"refs/tags/{tag}" not in repo.refs:
                raise Refusal(404, "RevisionNotFound", f"no label {tag}")
            self._point(repo, f"refs/tags/{tag}", None)

    def rename(self, repo: OtherRepo, name: str) -> None:
        """Give a repo another name; the old one leads to it."""
        with self._lock:
            self._moved[(repo.kind, repo.name)] = name
            self._repos[(repo.kind, name)] = self._repos.pop((repo.kind, repo.name))
            repo.name = name
            self._tell(repo, "repo", "move", {"movedTo": {"name": name}})

    def delete(self, repo: OtherRepo) -> None:
        """Remove a repo."""
        with self._lock:
            del self._repos[(repo.kind, repo.name)]
            self._tell(repo, "repo", "delete", {})

    def _point(self, repo: OtherRepo, ref: str, oid: str | None) -> None:
        update = {"newSha": oid, "oldSha": repo.refs.get(ref), "ref": ref}
        if oid is None:
            del repo.refs[ref]
        else:
            repo.refs[ref] = oid
        self._tell(repo, "repo.content", "update", {"updatedRefs": [update]})
