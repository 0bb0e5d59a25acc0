"""Answers other than success, raised from anywhere and rendered in one place (``app``).

Status and ``X-Error-Code`` follow what ``huggingface_hub.utils.hf_raise_for_status`` looks for.
"""

from collections.abc import Mapping
from typing import Any


class Refusal(Exception):
    """The request ends with this status, message and, where the Hub has one, error code.

    ``code`` becomes ``X-Error-Code``; ``message`` becomes ``X-Error-Message`` and ``error`` in the
    JSON body, next to ``extra``.
    """

    def __init__(
        self,
        status: int,
        message: str,
        code: str | None = None,
        *,
        extra: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.extra = dict(extra or {})
        self.headers = dict(headers or {})


def bad_request(message: str) -> Refusal:
    return Refusal(400, message)


def forbidden(message: str) -> Refusal:
    return Refusal(403, message)


def conflict(message: str, **extra: Any) -> Refusal:
    return Refusal(409, message, extra=extra)


def repo_not_found(*, anonymous: bool) -> Refusal:
    """Missing and hidden look the same: 401 to the anonymous, 404 to someone with a token."""
    if anonymous:
        return Refusal(401, "Invalid username or password.", "RepoNotFound")
    return Refusal(404, "Repository not found", "RepoNotFound")


def revision_not_found(rev: str) -> Refusal:
    return Refusal(404, f"Invalid rev id: {rev}", "RevisionNotFound")


def entry_not_found(path: str, commit: str | None = None) -> Refusal:
    """``commit`` lets the client remember that the file is absent from that revision."""
    headers = {"X-Repo-Commit": commit} if commit else {}
    return Refusal(404, f"Entry not found: {path}", "EntryNotFound", headers=headers)


def login_required() -> Refusal:
    return Refusal(401, "Invalid username or password.")


def bad_token() -> Refusal:
    """The client tells this message from an anonymous 401: the words matter."""
    return Refusal(401, "Invalid credentials in Authorization header")
