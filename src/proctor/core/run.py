"""Runs and the steps that carry them forward."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from proctor.core.evidence import Json
from proctor.core.names import RepoType, Revision


class RunStatus(StrEnum):
    """Where a run is. HELD, FAILED, SUPERSEDED and PROMOTED are ends: an end is an end."""

    PLANNED = "planned"
    CHECKING = "checking"
    JUDGED = "judged"
    WAITING = "waiting"  # for a person's hold to be released
    PROMOTING = "promoting"
    PROMOTED = "promoted"
    HELD = "held"  # the verdict is fail or inconclusive, or a person kept the stage elsewhere
    FAILED = "failed"  # an error that no retry mends
    SUPERSEDED = "superseded"  # a newer revision took its place

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to the run."""
        return self in (
            RunStatus.PROMOTED,
            RunStatus.HELD,
            RunStatus.FAILED,
            RunStatus.SUPERSEDED,
        )


@dataclass(frozen=True, slots=True)
class Run:
    """One pass of a pipeline over one revision. `reason` says in words why it is where it is.

    `number` counts the runs of one (repo, pipeline, revision) from 1; `again_of` names the run
    that this one does again. `begins_at` is its earliest start: pushes that follow one another
    closely are waited for.
    """

    id: str
    hub_id: str
    repo_type: RepoType
    repo_name: str
    revision: Revision
    ref: str
    pipeline: str
    created_at: float
    updated_at: float
    status: RunStatus = RunStatus.PLANNED
    reason: str = ""
    number: int = 1
    again_of: str | None = None
    event_id: str | None = None
    begins_at: float = 0.0


class CheckStatus(StrEnum):
    """Where one check of a run is."""

    WAITING = "waiting"  # for the checks that it needs, or for the sync
    READY = "ready"
    DONE = "done"  # evidence is on record, measured or errored
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class RunCheck:
    """A check of one run, with its parameters, and the `content` of the folders and files that
    they name (as in CheckSpec), as they were when the run was planned."""

    id: str
    run_id: str
    name: str
    use: str
    parameters: Mapping[str, Json] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    status: CheckStatus = CheckStatus.WAITING
    evidence_id: str | None = None
    content: Mapping[str, str] = field(default_factory=dict)


class StepKind(StrEnum):
    """The steps of the walk that are claimed and done by workers."""

    PLAN = "plan"
    SYNC = "sync"
    CHECK = "check"
    JUDGE = "judge"
    PROMOTE = "promote"
    ANNOUNCE = "announce"


LONGEST_LEASE = 2 * 3600.0
"""Seconds from now to the furthest end of a lease (an hour, by PROCTOR_LEASE), with as much to
spare. One that ends later was written while a clock was wrong."""


class StepState(StrEnum):
    """READY to be claimed, RUNNING under a lease, or ended."""

    READY = "ready"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Step:
    """A row that workers claim.

    `subject` is the id of what is looked at (plan: hub_id; sync: "hub_id@revision"; check: the
    RunCheck's id; judge: the run's id; promote: the promotion's id; announce: the notice's id).
    At most one step of a (kind, subject) is READY or RUNNING. `lock` keeps two steps that must
    not run side by side apart ("" for none). `due_at` is the earliest start, seconds since the
    epoch. `fence` grows with each claim; `attempts` counts claims since the last success.
    """

    id: str
    kind: StepKind
    subject: str
    queue: str
    due_at: float
    lock: str = ""
    state: StepState = StepState.READY
    attempts: int = 0
    fence: int = 0
    worker: str | None = None
    lease_until: float | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of one step, for the record. `ended_at` and `outcome` are None while it runs (or
    for ever, if it was killed)."""

    step_id: str
    fence: int
    kind: StepKind
    subject: str
    worker: str
    started_at: float
    ended_at: float | None = None
    outcome: str | None = None
