"""Whether a file on disk is the one that the Hub listed."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from proctor.core.errors import Cancelled, PermanentError
from proctor.core.registry import File

_CHUNK = 1 << 20
_BOOKKEEPING = (".cache", "huggingface")
"""Where huggingface_hub keeps its own notes below a local folder."""


def matches(path: Path, listed: File, stop: threading.Event) -> bool:
    """Whether `path` is a plain file with the listed size and hash. Raises Cancelled when `stop`
    is set meanwhile.

    Large files by their sha256, all others by git's name for the blob
    (https://git-scm.com/book/en/v2/Git-Internals-Git-Objects).
    """
    if path.is_symlink() or not path.is_file() or path.stat().st_size != listed.size:
        return False
    if listed.sha256 is not None:
        return _hash(path, hashlib.sha256(), stop) == listed.sha256
    blob = hashlib.sha1(b"blob %d\0" % listed.size, usedforsecurity=False)
    return _hash(path, blob, stop) == listed.oid


def holds_exactly(folder: Path, listed: Sequence[File], stop: threading.Event) -> bool:
    """Whether the folder holds the listed files, whole, and nothing else. Raises Cancelled when
    `stop` is set meanwhile."""
    found = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if not p.is_dir()}
    return found == {file.path for file in listed} and all(
        matches(folder / file.path, file, stop) for file in listed
    )


def refuse_strays(listed: Sequence[File]) -> None:
    """Raise PermanentError if a path would leave the folder or disturb its bookkeeping."""
    for file in listed:
        parts = PurePosixPath(file.path).parts
        strays = (
            not file.path
            or file.path.startswith("/")
            or file.path != "/".join(parts)
            or ".." in parts
            or any(sign in file.path for sign in "\\\0\n\r")
            or parts[: len(_BOOKKEEPING)] == _BOOKKEEPING
        )
        if strays:
            raise PermanentError(f"the repo lists a file that is not safe to write: {file.path!r}")


def _hash(path: Path, hasher: hashlib._Hash, stop: threading.Event) -> str:
    with path.open("rb") as content:
        while chunk := content.read(_CHUNK):
            if stop.is_set():
                raise Cancelled("the download was given up")
            hasher.update(chunk)
    return hasher.hexdigest()
