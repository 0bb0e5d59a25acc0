"""The errors that cross rooms. An error's class says what may be done about it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class ProctorError(Exception):
    """Base of every error that Proctor raises on purpose; the message says what to do.

    `without_effect` says that the peer certainly did nothing of what it was asked to change: it
    was not asked, or it refused. Otherwise (a lost answer, say) it may have done it.
    """

    without_effect: bool = False


@contextmanager
def before_effect() -> Iterator[None]:
    """Around what comes before a write is sent: what it raises is `without_effect`."""
    try:
        yield
    except ProctorError as error:
        error.without_effect = True
        raise


class PermanentError(ProctorError):
    """Trying again cannot help: the step fails, and the message is the reason on record."""


class TransientError(ProctorError):
    """Trying again may help.

    `delay` is the least wait before the next try in seconds (None: the caller's own backoff).
    """

    def __init__(self, message: str, *, delay: float | None = None) -> None:
        super().__init__(message)
        self.delay = delay


class AccessDenied(PermanentError):
    """The Hub refused our token (401 or 403): a person has to mend it, and the step waits for
    that."""


class TokenRefused(AccessDenied):
    """The Hub does not know our token (401): whatever needs it is refused, not this call only."""


class RepoGone(PermanentError):
    """The repo does not exist, or this token cannot see it."""


class RepoReplaced(PermanentError):
    """The name now belongs to another repo (its hub_id differs): it must not be touched."""


class RevisionGone(PermanentError):
    """The repo exists; this commit or ref does not."""


class TagExists(ProctorError):
    """The tag exists already. The Hub never moves a tag on create; observe and decide."""


class TagGone(ProctorError):
    """The tag to delete does not exist. Observe and decide."""


class TagMoved(ProctorError):
    """The tag to delete points elsewhere than it was seen to: somebody moved it. Observe and
    decide."""


class CheckFailed(PermanentError):
    """A check could not measure. This says nothing about the model: the verdict is inconclusive."""


class EndedFromOutside(ProctorError):
    """The work was killed and not by us (out of memory, a machine that shuts down). Trying again
    may help, but each try counts: what always runs out of memory must come to an end."""


class Cancelled(ProctorError):
    """The work was given up on purpose (superseded, lease lost or shutting down)."""


class StaleClaim(ProctorError):
    """Another worker holds this step now: whatever was computed must be discarded."""


class LedgerUnavailable(TransientError):
    """The database cannot take the write now (locked, restarting, disk full)."""


class Refused(ProctorError):
    """A person asked for something that the rules do not allow; the message says why."""
