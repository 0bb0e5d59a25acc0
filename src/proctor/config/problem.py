"""What is wrong with a configuration: where, what, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from proctor.core.errors import ProctorError
from proctor.core.secret import Secret, redact


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem. `line` and `column` count from 1; 0 where the file has none, because it is not
    there. Holds no secret."""

    file: str
    line: int
    column: int
    problem: str
    remedy: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{place}: {self.problem}. {self.remedy}"


class ConfigError(ProctorError):
    """The configuration cannot be used; `problems` holds all that is wrong with it."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(p) for p in problems))
        self.problems = tuple(problems)


class ConfigMissing(ConfigError):
    """There is no configuration file; `starter` is a text to begin one with."""

    def __init__(self, path: Path, starter: str) -> None:
        remedy = f"Write one (or set PROCTOR_CONFIG); this is a start:\n\n{starter}"
        super().__init__([Problem(str(path), 0, 0, "there is no such file", remedy)])
        self.starter = starter


Path_ = tuple[str | int, ...]
"""Keys and indices from the top of the file to a value."""


@dataclass(frozen=True, slots=True)
class Complaint:
    """A problem at a path of the document, before it has a line. `key` points at the key rather
    than at its value."""

    path: Path_
    problem: str
    remedy: str
    key: bool = False


def clean(complaint: Complaint, secrets: Sequence[Secret]) -> Complaint:
    """The complaint without any secret in its texts."""
    return Complaint(
        complaint.path,
        redact(complaint.problem, secrets),
        redact(complaint.remedy, secrets),
        complaint.key,
    )
