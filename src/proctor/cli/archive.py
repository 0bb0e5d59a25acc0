"""The archive that a backup is: files in a tar, and a manifest with the digest of each."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tarfile
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Any, Final

import proctor
from proctor.core.errors import Refused

LEDGER, CONFIG, ARTIFACTS, MANIFEST = "ledger.db", "proctor.yaml", "artifacts", "manifest.json"

FORMAT: Final = 1
"""Of the archive; grows when an older Proctor could not restore it."""

_IN_MEMORY: Final = 16 * 1024 * 1024  # bytes; what is larger must not shrink while it is read
_LONGEST_MANIFEST: Final = 256 * 1024 * 1024


@dataclass(slots=True)
class Packer:
    """Writes an archive. Each file is read once."""

    tar: tarfile.TarFile
    files: dict[str, dict[str, Any]] = field(default_factory=dict)

    def add(self, name: str, path: Path) -> None:
        """Add a file under a name."""
        with path.open("rb") as source:
            size = os.fstat(source.fileno()).st_size
            if size <= _IN_MEMORY:
                self.add_bytes(name, source.read(size))
            else:
                self._add(name, source, size)

    def add_bytes(self, name: str, content: bytes) -> None:
        """Add bytes under a name."""
        self._add(name, io.BytesIO(content), len(content))

    def add_below(self, name: str, folder: Path) -> None:
        """Add the regular files below a folder; one that goes away meanwhile is left out."""
        for place, _, files in sorted(os.walk(folder)):
            for file in sorted(files):
                path = Path(place, file)
                if path.is_file() and not path.is_symlink():
                    with suppress(FileNotFoundError):
                        inside = PurePosixPath(name, path.relative_to(folder).as_posix())
                        self.add(str(inside), path)

    def close(self, facts: Mapping[str, Any]) -> None:
        """Write the manifest."""
        manifest = {
            "format": FORMAT,
            "proctor": proctor.__version__,
            "made_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            **facts,
            "files": self.files,
        }
        self.add_bytes(MANIFEST, json.dumps(manifest, indent=1).encode())

    def _add(self, name: str, source: IO[bytes], size: int) -> None:
        member = tarfile.TarInfo(name)
        member.size, member.mode, member.mtime = size, 0o600, int(time.time())
        reader = _Reader(source)
        self.tar.addfile(member, reader)
        self.files[name] = {"size": size, "sha256": reader.seen.hexdigest()}


class _Reader:
    """What was read of a file, and its digest."""

    def __init__(self, source: IO[bytes]) -> None:
        self._source, self.seen = source, hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        piece = self._source.read(size)
        self.seen.update(piece)
        return piece


def require_begun(archive: Path) -> None:
    """Raises Refused unless it is there and begins as an archive does. What is further on shows
    when it is unpacked."""
    try:
        with tarfile.open(archive, "r:gz"):
            return
    except (tarfile.TarError, zlib.error, EOFError, ValueError, OSError) as error:
        raise _unreadable(archive, error) from None


def _unreadable(archive: Path, error: Exception) -> Refused:
    said = (isinstance(error, OSError) and error.strerror) or error
    return Refused(f"{archive} cannot be read: {said}")


def unpack(archive: Path, into: Path) -> dict[str, Any]:
    """Write the files of an archive below `into`, which is empty, and return its manifest. Raises
    Refused unless all of it is there and as it was packed."""
    found: dict[str, dict[str, Any]] = {}
    manifest: dict[str, Any] | None = None
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for member, source in _members(tar):
                if member.name == MANIFEST:
                    manifest = json.loads(source.read(_LONGEST_MANIFEST))
                else:
                    found[member.name] = _write(source, into / member.name)
    except (tarfile.TarError, zlib.error, EOFError, ValueError, OSError) as error:
        raise _unreadable(archive, error) from None
    if manifest is None or manifest.get("format") != FORMAT:
        raise Refused(f"{archive} is no backup that this Proctor can restore")
    if found != manifest.get("files"):
        raise Refused(f"{archive} is damaged: its files are not those that were packed")
    return manifest


def _members(tar: tarfile.TarFile) -> Iterator[tuple[tarfile.TarInfo, IO[bytes]]]:
    """The files in it. Raises Refused for anything that a backup does not hold."""
    for member in tar:
        source = tar.extractfile(member) if member.isreg() else None
        parts = PurePosixPath(member.name).parts
        ours = member.name in (LEDGER, CONFIG, MANIFEST) or (
            len(parts) > 1 and parts[0] == ARTIFACTS and ".." not in parts
        )
        if source is None or not ours or "\0" in member.name:
            raise Refused(f"it holds {member.name[:80]!r}, which no backup of ours does")
        yield member, source


def _write(source: IO[bytes], path: Path) -> dict[str, Any]:
    path.parent.mkdir(parents=True, exist_ok=True)
    reader = _Reader(source)
    with path.open("xb") as target:
        shutil.copyfileobj(reader, target)
        size = target.tell()
        target.flush()
        os.fsync(target.fileno())
    return {"size": size, "sha256": reader.seen.hexdigest()}
