"""Ids computed as git computes them, so that what the client hashes locally agrees.

The object formats: https://git-scm.com/book/en/v2/Git-Internals-Git-Objects; LFS pointers:
https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """One file of a revision. ``oid`` is the git blob id: of the pointer where the file is LFS."""

    path: str
    size: int
    oid: str
    sha256: str
    lfs: bool


def git_object(kind: str, content: bytes) -> str:
    """The sha1 that ``git hash-object -t kind`` prints."""
    return hashlib.sha1(b"%s %d\0" % (kind.encode(), len(content)) + content).hexdigest()  # noqa: S324 -- git's own id


def lfs_pointer(sha256: str, size: int) -> bytes:
    """The text that git stores in place of an LFS file."""
    return (
        f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n"
    ).encode()


def folder_ids(entries: Mapping[str, Entry]) -> dict[str, str]:
    """The git tree id of each folder; the root is under the empty name."""
    children: dict[str, dict[str, tuple[str, str]]] = {"": {}}
    for path, entry in entries.items():
        folder, _, leaf = path.rpartition("/")
        children.setdefault(folder, {})[leaf] = ("100644", entry.oid)
        while folder:
            parent = folder.rpartition("/")[0]
            children.setdefault(parent, {})
            folder = parent
    ids: dict[str, str] = {}
    # Deepest first: a tree holds the ids of the trees in it.
    for folder in sorted(children, key=lambda name: (-_depth(name), name)):
        listing = children[folder]
        # Git sorts a folder as if its name ended in a slash.
        ordered = sorted(
            listing.items(), key=lambda item: item[0] + ("/" if item[1][0] == "40000" else "")
        )
        body = b"".join(
            f"{mode} {leaf}".encode() + b"\0" + bytes.fromhex(oid) for leaf, (mode, oid) in ordered
        )
        ids[folder] = git_object("tree", body)
        if folder:
            parent, _, leaf = folder.rpartition("/")
            children[parent][leaf] = ("40000", ids[folder])
    return ids


def _depth(folder: str) -> int:
    return folder.count("/") + 1 if folder else 0


def commit_id(tree: str, parent: str | None, author: str, at: float, message: str) -> str:
    """The id of a commit. Git counts whole seconds; we keep milliseconds in the author line, so
    that two equal commits made in one second are still two."""
    stamp = f"{author} <{author}@localhub.invalid> {at:.3f} +0000"
    lines = [f"tree {tree}", *([f"parent {parent}"] if parent else [])]
    lines += [f"author {stamp}", f"committer {stamp}", "", message, ""]
    return git_object("commit", "\n".join(lines).encode())
