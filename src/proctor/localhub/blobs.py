"""File contents, stored once each under their SHA-256.

A blob is whole or absent: written aside, flushed to disk, renamed. Blobs are never removed, not
even with their repository; delete the state folder to reclaim the space.
"""

import hashlib
import os
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from proctor.localhub.refusal import bad_request
from proctor.localhub.store import Db


@dataclass(frozen=True)
class Blob:
    """Content on disk. ``git_oid`` is the git blob id of the content itself, not of a pointer."""

    sha256: str
    size: int
    git_oid: str


class Blobs:
    """The content-addressed files below ``root``."""

    def __init__(self, root: Path) -> None:
        self._root = root / "blobs"
        self._incoming = root / "incoming"
        # What a killed process left half written was never acknowledged.
        shutil.rmtree(self._incoming, ignore_errors=True)
        self._incoming.mkdir(parents=True)
        self._root.mkdir(exist_ok=True)

    def path(self, sha256: str) -> Path:
        return self._root / sha256[:2] / sha256[2:]

    def put(self, content: bytes) -> Blob:
        """Store ``content``; storing it again is free."""
        with self.receive(len(content)) as upload:
            upload.write(content)
            return upload.finish()

    def receive(self, size: int) -> "Upload":
        """Start an upload of exactly ``size`` bytes."""
        return Upload(self, self._incoming / secrets.token_hex(16), size)

    def spool(self) -> IO[bytes]:
        """A scratch file for a request body too big for memory; it is gone when closed."""
        path = self._incoming / secrets.token_hex(16)
        file = path.open("w+b")
        path.unlink()
        return file


class Upload:
    """Bytes on their way in. Use as a context manager: what is not finished is thrown away."""

    def __init__(self, blobs: Blobs, path: Path, size: int) -> None:
        self._blobs, self._path, self._size = blobs, path, size
        self._file = path.open("wb")
        self._written = 0
        self._sha256 = hashlib.sha256()
        # Git hashes the length first, which is why it must be known.
        self._sha1 = hashlib.sha1(b"blob %d\0" % size)  # noqa: S324 -- git's own id

    def __enter__(self) -> "Upload":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._path.unlink(missing_ok=True)

    def write(self, chunk: bytes) -> None:
        """Take some bytes; 400 as soon as there are more than announced."""
        self._written += len(chunk)
        if self._written > self._size:
            raise bad_request(f"More than the announced {self._size} bytes were sent")
        self._sha256.update(chunk)
        self._sha1.update(chunk)
        self._file.write(chunk)

    def finish(self, expected_sha256: str | None = None) -> Blob:
        """Make the blob durable; 400 when length or hash are not what was announced."""
        if self._written != self._size:
            raise bad_request(f"{self._written} bytes were sent where {self._size} were announced")
        sha256 = self._sha256.hexdigest()
        if expected_sha256 not in (None, sha256):
            raise bad_request("The SHA-256 of the content is not the one announced")
        target = self._blobs.path(sha256)
        if not target.exists():
            self._file.flush()
            os.fsync(self._file.fileno())
            target.parent.mkdir(parents=True, exist_ok=True)
            self._path.replace(target)
            _sync_folder(target.parent)
        return Blob(sha256, self._size, self._sha1.hexdigest())


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def link(db: Db, repo: str, blob: Blob) -> None:
    """Let ``repo`` use the blob. Knowing a hash is not enough to read someone else's file."""
    db.execute(
        "INSERT OR IGNORE INTO blobs (sha256, size, git_oid) VALUES (?, ?, ?)",
        (blob.sha256, blob.size, blob.git_oid),
    )
    db.execute("INSERT OR IGNORE INTO repo_blobs (repo, sha256) VALUES (?, ?)", (repo, blob.sha256))


def linked(db: Db, repo: str, sha256: str) -> Blob | None:
    """The blob, if it exists and ``repo`` may use it."""
    row = db.execute(
        "SELECT blobs.* FROM blobs JOIN repo_blobs USING (sha256) WHERE repo = ? AND sha256 = ?",
        (repo, sha256),
    ).fetchone()
    return Blob(row["sha256"], row["size"], row["git_oid"]) if row else None


def by_hash(db: Db, sha256: str) -> Blob:
    """A blob that some tree names; it is always there."""
    row = db.execute("SELECT * FROM blobs WHERE sha256 = ?", (sha256,)).fetchone()
    return Blob(row["sha256"], row["size"], row["git_oid"])
