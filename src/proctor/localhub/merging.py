"""What a pull request changes, and what its base looks like after the merge.

Whole files, three ways: a file that both sides changed differently since the fork is a conflict.
"""

import difflib
from collections.abc import Mapping
from pathlib import Path

from proctor.localhub.blobs import Blobs
from proctor.localhub.gitids import Entry

_MAX_DIFF_BYTES = 100_000

Files = Mapping[str, Entry]


def changed(before: Files, after: Files) -> list[str]:
    """Paths that differ between two trees, sorted."""
    return sorted(
        path for path in before.keys() | after.keys() if before.get(path) != after.get(path)
    )


def conflicts(fork: Files, base: Files, head: Files) -> list[str]:
    """Paths that ``base`` and ``head`` changed differently since ``fork``."""
    return [
        path
        for path in changed(fork, head)
        if base.get(path) != fork.get(path) and base.get(path) != head.get(path)
    ]


def merged(fork: Files, base: Files, head: Files) -> dict[str, Entry]:
    """``base`` with what ``head`` changed since ``fork``; only without conflicts."""
    result = dict(base)
    for path in changed(fork, head):
        entry = head.get(path)
        if entry is None:
            result.pop(path, None)
        else:
            result[path] = entry
    return result


def diff(blobs: Blobs, before: Files, after: Files) -> str:
    """A unified diff for reading; large and binary files are only named."""
    parts: list[str] = []
    for path in changed(before, after):
        parts.append(f"diff --git a/{path} b/{path}\n")
        old, new = _lines(blobs, before.get(path)), _lines(blobs, after.get(path))
        if old is None or new is None:
            parts.append(f"Binary files a/{path} and b/{path} differ\n")
        else:
            parts += [
                line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"
                for line in difflib.unified_diff(old, new, f"a/{path}", f"b/{path}")
            ]
    return "".join(parts)


def _lines(blobs: Blobs, entry: Entry | None) -> list[str] | None:
    if entry is None:
        return []
    if entry.lfs or entry.size > _MAX_DIFF_BYTES:
        return None
    content = Path(blobs.path(entry.sha256)).read_bytes()
    if b"\0" in content:
        return None
    return content.decode("utf-8", "replace").splitlines(keepends=True)
