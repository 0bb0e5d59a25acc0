"""A check bound to what the folders and files that its parameters name held."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from proctor.checks import folders
from proctor.core.errors import CheckFailed
from proctor.core.evidence import Findings
from proctor.ports.check import Check, Room, Subject


def content_of(base: Path, path: str) -> str:
    """SHA-256 of what a path of the configuration (relative to `base`) holds: a file, or all the
    files of a folder. Raises OSError when it cannot be read."""
    found = base / Path(path).expanduser()
    return folders.file_digest(found) if found.is_file() else folders.content_digest(found)


@dataclass(frozen=True, slots=True)
class Unchanged:
    """Measures with `check` only while `content` (digests by the path as written) still holds.

    A verdict opens a gate as it stood when the configuration was read, tasks included; one that
    was measured with others must not pass for it.
    """

    check: Check
    content: Mapping[str, str]

    @property
    def queue(self) -> str:
        """As the check says."""
        return self.check.queue

    @property
    def time_limit(self) -> float:
        """As the check says, in seconds."""
        return self.check.time_limit

    def measure(self, subject: Subject, room: Room) -> Findings:
        """What the check finds. Raises CheckFailed when something changed before or meanwhile."""
        self._look(room.base)
        findings = self.check.measure(subject, room)
        self._look(room.base)
        return findings

    def _look(self, base: Path) -> None:
        for path, before in sorted(self.content.items()):
            try:
                same = (base / Path(path).expanduser()).exists() and content_of(
                    base, path
                ) == before
            except OSError as error:
                raise CheckFailed(f"{path} cannot be read: {error.strerror or error}") from error
            if not same:
                raise CheckFailed(
                    f"what is in {path} is no longer what Proctor read with its configuration; "
                    "restart Proctor, and run this again"
                )
