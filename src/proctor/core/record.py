"""What the ledger keeps of decisions, stages and notices."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from proctor.core.gate import Criterion, Verdict
from proctor.core.names import Repo, Revision
from proctor.core.notice import Notice
from proctor.core.registry import Commit, Description


@dataclass(frozen=True, slots=True)
class KnownRepo:
    """A repo that we have seen. `gone_because` is "" while it answers. Times in epoch seconds."""

    repo: Repo
    first_seen: float
    seen_at: float
    gone_because: str = ""


@dataclass(frozen=True, slots=True)
class RefChange:
    """A ref that was seen to move (None: did not exist)."""

    id: str
    hub_id: str
    ref: str
    old: Revision | None
    new: Revision | None
    seen_at: float


@dataclass(frozen=True, slots=True)
class Entry:
    """The registry's record of one (repo, revision). `commits` lead to it, newest first."""

    hub_id: str
    description: Description
    commits: tuple[Commit, ...]
    changed: tuple[str, ...]
    synced_at: float

    @property
    def revision(self) -> Revision:
        """The revision described."""
        return self.description.revision


@dataclass(frozen=True, slots=True)
class VerdictRecord:
    """A verdict with all that is needed to compute it again: the gate as it stood and the
    evidence by id."""

    id: str
    run_id: str
    verdict: Verdict
    gate: tuple[Criterion, ...]
    gate_digest: str
    evidence_ids: tuple[str, ...]
    judged_at: float


@dataclass(frozen=True, slots=True)
class StageHead:
    """Where a stage's tag points, as far as we know. `promotion_id` is None when the tag was
    there before us and was adopted at first sight."""

    hub_id: str
    stage: str
    revision: Revision
    since: float
    promotion_id: str | None


@dataclass(frozen=True, slots=True)
class Hold:
    """A person's stop on a stage of a repo. In force until `released_at`."""

    id: str
    hub_id: str
    stage: str
    reason: str
    found: Revision | None
    expected: Revision | None
    since: float
    released_at: float | None = None


class OutboxState(StrEnum):
    """Whether a notice went out."""

    PENDING = "pending"
    SENT = "sent"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class OutboxNotice:
    """A notice for one channel, written in the transaction of the fact that it tells."""

    id: str
    channel: str
    notice: Notice
    created_at: float
    state: OutboxState = OutboxState.PENDING
    sent_at: float | None = None
    error: str | None = None
