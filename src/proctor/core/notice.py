"""What people are told. Composing is pure; sending is a notifier's."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Severity(StrEnum):
    """How much a notice wants a person."""

    INFO = "info"
    SUCCESS = "success"
    WARNING = "warning"
    FAILURE = "failure"


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing said to people.

    `key` is stable over retries (the receiver can deduplicate by it). `kind` is a machine-readable
    word such as "run.held". `facts` are ordered pairs (label, text). `link` may be empty.
    """

    key: str
    kind: str
    severity: Severity
    title: str
    text: str
    facts: tuple[tuple[str, str], ...] = field(default=())
    link: str = ""
