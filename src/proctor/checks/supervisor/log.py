"""A log that cannot fill a disk: its beginning and its end are kept."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import IO, Final

HEAD: Final = 128 * 1024
TAIL: Final = 128 * 1024


class BoundedLog:
    """Keeps the first `head` bytes fed to it, and the last chunks that make up at least `tail`
    bytes. The beginning reaches the file at once, the end when it is closed."""

    def __init__(self, path: Path, head: int = HEAD, tail: int = TAIL) -> None:
        self._file = path.open("wb", buffering=0)
        self._room = head
        self._tail: deque[bytes] = deque()
        self._kept = 0
        self._most = tail
        self._dropped = 0

    def feed(self, chunk: bytes) -> None:
        """Take in some output."""
        if self._room:
            now, chunk = chunk[: self._room], chunk[self._room :]
            self._file.write(now)
            self._room -= len(now)
        if chunk:
            self._tail.append(chunk)
            self._kept += len(chunk)
        while self._kept - len(self._tail[0] if self._tail else b"") > self._most:
            gone = len(self._tail.popleft())
            self._kept -= gone
            self._dropped += gone

    def close(self) -> None:
        """Write the end, and how much was left out before it."""
        if self._dropped:
            self._file.write(f"\n[... {self._dropped} bytes left out ...]\n".encode())
        for chunk in self._tail:
            self._file.write(chunk)
        self._file.close()


def drain(source: IO[bytes], log: BoundedLog) -> None:
    """Feed `log` from `source` until its end."""
    while chunk := source.read(8192):
        log.feed(chunk)
