"""From huggingface_hub's errors to ours, without secrets."""

from __future__ import annotations

import email.utils
import json
import re
import time
from collections.abc import Iterable, Mapping

import httpx2
from huggingface_hub.errors import (
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    LocalTokenNotFoundError,
    OfflineModeIsEnabled,
)
from huggingface_hub.utils import (  # type: ignore[attr-defined]  # exported at run time only
    parse_ratelimit_headers,
)

from proctor.core.errors import (
    AccessDenied,
    PermanentError,
    ProctorError,
    RepoGone,
    RevisionGone,
    TokenRefused,
    TransientError,
)
from proctor.core.harmless import harmless

_TOKEN = re.compile(r"hf_[A-Za-z0-9]+")
_SECRET_IN_URL = re.compile(r"([?&]secret=)[^&#\s\"']+")
_NOT_CONNECTED = (
    httpx2.ConnectError,
    httpx2.ConnectTimeout,
    httpx2.PoolTimeout,
    httpx2.UnsupportedProtocol,
)
"""What is raised before a byte of the request is sent."""

_LONGEST_MESSAGE = 300
_LONGEST_DELAY = 3600.0


class Conflict(ProctorError):
    """The Hub answered 409: what was to be made exists."""


class Missing(PermanentError):
    """The Hub answered 404 without saying that the repo or revision is missing."""


class Malformed(PermanentError):
    """The Hub answered 400 or 422: it does not take what was sent."""


class Redactor:
    """Takes secrets out of text: our own, and all that looks like a token of the Hub."""

    def __init__(self, secrets: Iterable[str | None] = ()) -> None:
        self._secrets = sorted({s for s in secrets if s}, key=len, reverse=True)

    def also(self, *secrets: str) -> Redactor:
        """A redactor that knows these secrets too."""
        return Redactor([*self._secrets, *secrets])

    def __call__(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return _SECRET_IN_URL.sub(r"\1***", _TOKEN.sub("hf_***", text))


def translate(error: Exception, redact: Redactor, *, anonymous: bool) -> ProctorError:
    """Our error for one of huggingface_hub's. Its message never holds a secret.

    `anonymous` tells that no token was sent: only then can a 401 mean a missing repo.
    """
    cause = error.__cause__
    if isinstance(error, ProctorError):
        ours = error
    elif isinstance(error, HfHubHTTPError):
        ours = _refused(error, redact, anonymous=anonymous)
        ours.without_effect = refused(error.response.status_code)
    elif isinstance(error, LocalEntryNotFoundError) and isinstance(cause, Exception):
        return translate(cause, redact, anonymous=anonymous)
    else:
        ours = _other(error, redact)
    ours.args = (redact(str(ours)), *ours.args[1:])
    return ours


def lost(error: httpx2.TransportError) -> ProctorError:
    """Our error for a connection that failed, or for a request that could not be sent at all."""
    if isinstance(error, httpx2.UnsupportedProtocol | httpx2.LocalProtocolError):
        return PermanentError(f"the request to the Hub is malformed ({type(error).__name__})")
    ours = TransientError(f"the connection to the Hub failed ({type(error).__name__})")
    ours.without_effect = isinstance(error, _NOT_CONNECTED)
    return ours


def refused(status: int) -> bool:
    """Whether an answer of this status proves that the Hub did nothing.

    A 4xx is said before anything is done (RFC 9110, section 15.5). But a 408 may come from what
    is in between, and a 409 may be the second of two that it sent for our one.
    """
    return 400 <= status < 500 and status not in (408, 409)


def refusal_delay(headers: Mapping[str, str]) -> float | None:
    """How long the Hub asks us to wait, in seconds (at most an hour), or None.

    `Retry-After` goes before the Hub's `RateLimit`.
    """
    asked = retry_after(headers)
    return limit_delay(headers) if asked is None else asked


def retry_after(headers: Mapping[str, str]) -> float | None:
    """What `Retry-After` asks for (RFC 9110, section 10.2.3: seconds or a date), or None."""
    asked = headers.get("retry-after", "").strip()
    if asked.isascii() and asked.isdigit():
        return min(float(asked), _LONGEST_DELAY)
    try:
        until = email.utils.parsedate_to_datetime(asked).timestamp()
    except (ValueError, TypeError, OverflowError, OSError):
        return None
    return min(max(until - time.time(), 0.0), _LONGEST_DELAY)


def limit_delay(headers: Mapping[str, str]) -> float | None:
    """How long until the Hub's `RateLimit` allows another request
    (https://huggingface.co/docs/hub/rate-limits), or None where some are left."""
    try:
        limit = parse_ratelimit_headers(headers)
    except ValueError:  # more digits than Python reads
        return None
    if limit is None or limit.remaining > 0:
        return None
    return min(float(limit.reset_in_seconds), _LONGEST_DELAY)


def _refused(error: HfHubHTTPError, redact: Redactor, *, anonymous: bool) -> ProctorError:
    """By status and X-Error-Code, not by class: huggingface_hub takes an expired token (401) for
    a missing repo, and tells a missing repo by its address only on https endpoints."""
    status = error.response.status_code
    code = error.response.headers.get("X-Error-Code", "")
    about = _about(error, redact)
    if status == 401 and anonymous:
        return RepoGone(f"the repo does not exist or is private, and no token is set: {about}")
    if status in (401, 403):
        kind = TokenRefused if status == 401 else AccessDenied
        return kind(f"the Hub refused the token ({status}): {about}")
    if code == "RepoNotFound":
        return RepoGone(f"the repo does not exist, or the token cannot see it: {about}")
    if code == "RevisionNotFound":
        return RevisionGone(f"the repo has no such revision: {about}")
    if status == 404:
        return Missing(f"the Hub does not know this address (404): {about}")
    if status == 409:
        return Conflict(f"it exists already (409): {about}")
    if status in (408, 429) or status >= 500:
        delay = refusal_delay(error.response.headers)
        return TransientError(f"the Hub answered {status}: {about}", delay=delay)
    if status in (400, 422):
        return Malformed(f"the Hub does not take this ({status}): {about}")
    return PermanentError(f"the Hub answered {status}: {about}")


def _about(error: HfHubHTTPError, redact: Redactor) -> str:
    request = error.response.request
    # Redacted before it is cut: half a token is no longer recognised as one.
    said = harmless(redact(" ".join((error.server_message or "").split())))[:_LONGEST_MESSAGE]
    where = f"{request.method} {request.url.path}"
    return f"{where}: {said}" if said else where


def _other(error: Exception, redact: Redactor) -> ProctorError:
    said = harmless(redact(f"{type(error).__name__}: {error}"))[:_LONGEST_MESSAGE]
    if isinstance(error, httpx2.TransportError):
        return lost(error)
    if isinstance(error, LocalTokenNotFoundError):
        return AccessDenied("no token is set, and this call needs one")
    if isinstance(error, OfflineModeIsEnabled):
        return PermanentError("huggingface_hub is told to stay offline: unset HF_HUB_OFFLINE")
    if isinstance(error, HFValidationError):
        return PermanentError(f"the name cannot be one of the Hub's: {said}")
    if isinstance(error, json.JSONDecodeError | UnicodeDecodeError | httpx2.DecodingError):
        return TransientError("the Hub's answer is not JSON: something between may have answered")
    if isinstance(error, PermissionError | IsADirectoryError | NotADirectoryError):
        return PermanentError(f"the files cannot be written: {said}")
    if isinstance(error, OSError):
        return TransientError(f"the download could not be finished: {said}")
    return PermanentError(f"the Hub's answer could not be understood: {said}")
