"""The ledger: all that is known and decided. State lives here and nowhere else."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from proctor.core.event import Delivery, Disposition, Event
from proctor.core.evidence import Evidence, Outcome
from proctor.core.names import RepoType, Revision
from proctor.core.promotion import Operation, Promotion
from proctor.core.record import (
    Entry,
    Hold,
    KnownRepo,
    OutboxNotice,
    RefChange,
    StageHead,
    VerdictRecord,
)
from proctor.core.run import Attempt, Run, RunCheck, RunStatus, Step, StepKind

Record: TypeAlias = (
    Event | Run | RunCheck | VerdictRecord | Promotion | Operation | Hold | OutboxNotice | RefChange
)
"""What is added once and saved by id."""

GIVEN_BACK = "given back: "
"""How the outcome of an attempt begins whose step was given back with an error."""

DONE = "done"
"""The outcome of an attempt whose step was finished."""

FAILED = "failed: "
"""How the outcome of an attempt begins whose step failed for good, before the error."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A worker's right to do a step until its lease ends. Later writes carry `step.fence`."""

    step: Step
    worker: str


class View(Protocol):
    """Consistent reads. Sequences come oldest first unless said otherwise."""

    def delivery(self, id: str) -> Delivery | None: ...
    def deliveries(
        self,
        *,
        limit: int = 100,
        event_id: str | None = None,
        disposition: Disposition | None = None,
    ) -> Sequence[Delivery]:
        """Newest first. `disposition` is what became of them: of a delivery that told a new event
        (PENDING), that of the event."""
        ...

    def event(self, id: str) -> Event | None: ...
    def event_by_identity(self, identity: str) -> Event | None: ...
    def pending_events(self, hub_id: str) -> Sequence[Event]: ...
    def events(
        self,
        *,
        hub_id: str | None = None,
        disposition: Disposition | None = None,
        limit: int = 100,
    ) -> Sequence[Event]:
        """Newest first."""
        ...

    def known_repo(self, hub_id: str) -> KnownRepo | None: ...
    def known_repos(self) -> Sequence[KnownRepo]:
        """By type and name."""
        ...

    def repos_named(self, name: str, type: RepoType | None = None) -> Sequence[KnownRepo]: ...
    def refs_seen(self, hub_id: str) -> Mapping[str, Revision]:
        """The refs of the repo as last seen (what all RefChanges add up to)."""
        ...

    def seen_at(self, ref: str) -> Mapping[str, Revision]:
        """Where one ref (full name) was last seen in every repo on record, by hub_id: one query
        for tens of thousands."""
        ...

    def ref_changes(self, hub_id: str, *, limit: int = 100) -> Sequence[RefChange]:
        """Newest first."""
        ...

    def entry(self, hub_id: str, revision: Revision) -> Entry | None: ...
    def described(self, hub_id: str, revision: Revision) -> bool:
        """Whether there is an entry of it."""
        ...

    def entries(self, hub_id: str, *, limit: int = 100) -> Sequence[Entry]:
        """Newest first."""
        ...

    def run(self, id: str) -> Run | None: ...
    def runs(
        self,
        *,
        hub_id: str | None = None,
        pipeline: str | None = None,
        revision: Revision | None = None,
        status: RunStatus | None = None,
        open_only: bool = False,
        limit: int = 1000,
    ) -> Sequence[Run]:
        """Newest first."""
        ...

    def runs_at(self, hub_id: str, revisions: Collection[Revision], since: float) -> Sequence[Run]:
        """Those of the repo that are open, those of the revisions, and those that begin after
        `since`; newest first. What a look needs of a repo with a long past."""
        ...

    def checks(self, run_id: str) -> Sequence[RunCheck]: ...
    def check(self, id: str) -> RunCheck | None: ...
    def evidence(self, id: str) -> Evidence | None: ...
    def outcomes(self, run_id: str) -> Mapping[str, Outcome]:
        """What came of the checks of the run that have evidence, by their names."""
        ...

    def verdict(self, run_id: str) -> VerdictRecord | None:
        """The newest verdict of the run."""
        ...

    def verdicts_of(self, hub_id: str, revision: Revision) -> Sequence[VerdictRecord]:
        """Of all runs of the revision, newest first."""
        ...

    def promotion(self, id: str) -> Promotion | None: ...
    def promotions(
        self,
        *,
        hub_id: str | None = None,
        stage: str | None = None,
        run_id: str | None = None,
        open_only: bool = False,
        limit: int = 1000,
    ) -> Sequence[Promotion]:
        """Newest first."""
        ...

    def operations(self, promotion_id: str) -> Sequence[Operation]: ...
    def unmatched_operations(self, hub_id: str) -> Sequence[Operation]:
        """Operations of the repo whose webhook has not come back (event_id is None)."""
        ...

    def unechoed(self, since: float, before: float) -> Sequence[Operation]:
        """Operations of all repos that were observed after `since` and no later than `before`,
        and whose webhook has not come back."""
        ...

    def stage_head(self, hub_id: str, stage: str) -> StageHead | None: ...
    def stage_heads(self, hub_id: str | None = None) -> Sequence[StageHead]: ...
    def holds(self, *, hub_id: str | None = None, in_force: bool = True) -> Sequence[Hold]: ...
    def notice(self, id: str) -> OutboxNotice | None: ...
    def notices(self, *, limit: int = 100) -> Sequence[OutboxNotice]:
        """Newest first."""
        ...

    def step(self, id: str) -> Step | None: ...
    def open_steps(self) -> Sequence[Step]:
        """READY and RUNNING, by due time."""
        ...

    def attempts(self, kind: StepKind, subject: str) -> Sequence[Attempt]: ...


class Transaction(View, Protocol):
    """One write transaction: all of it is committed, or nothing.

    Rows read by id inside it are locked until its end (PostgreSQL: FOR UPDATE; SQLite: BEGIN
    IMMEDIATE locks the file), so read-decide-save is safe. Keep it under 20 ms: no Hub call
    inside.
    """

    def add_event(self, event: Event) -> bool:
        """Add unless its identity is on record; returns whether it was added."""
        ...

    def add_deliveries(self, deliveries: Sequence[Delivery]) -> None:
        """Add all of them. Raises ValueError when an id exists; which of the others are there
        then is not told: give up the transaction."""
        ...

    def add_events(self, events: Sequence[Event]) -> Mapping[str, str]:
        """Add each whose identity is not on record, the first of those that share one. Returns
        by identity the id of the event on record: one's own id if and only if it was added (or
        had been). Raises ValueError when an id exists under another identity; give up the
        transaction then."""
        ...

    def add_steps(self, steps: Sequence[Step]) -> Sequence[Step]:
        """`add_step` for each; returns the steps that stand, in the order asked. Those of one
        (kind, subject) ask together, at the earliest of their times. However many transactions
        ask for the same subjects at once, they do not deadlock."""
        ...

    def add(self, record: Record) -> None:
        """Add a new record. Raises ValueError when the id, or what makes it unique, exists:
        Run (hub_id, pipeline, revision, number); Promotion (hub_id, release) unless release is
        ""; OutboxNotice (notice.key, channel)."""
        ...

    def add_all(self, records: Sequence[Record]) -> None:
        """`add` for each, in few statements: first those of the class that comes first. Raises
        ValueError when one exists; which of the others are there then is not told: give up the
        transaction."""
        ...

    def save(self, record: Record) -> None:
        """Overwrite the record of that id. Raises KeyError when there is none, and ValueError on
        an attempt to leave an ended Run or Promotion status."""
        ...

    def save_all(self, records: Sequence[Record]) -> None:
        """`save` for each, in few statements. Where one is refused, which of the others are saved
        is not told: give up the transaction."""
        ...

    def add_evidence(self, evidence: Evidence) -> None: ...
    def put_repo(self, repo: KnownRepo) -> None:
        """Add or overwrite by hub_id."""
        ...

    def put_entry(self, entry: Entry) -> None:
        """Add or overwrite by (hub_id, revision)."""
        ...

    def put_stage_head(self, head: StageHead) -> None:
        """Add or overwrite by (hub_id, stage)."""
        ...

    def drop_operation(self, id: str) -> None:
        """Take an operation off the record that certainly was not made. No error when it is not
        there."""
        ...

    def drop_stage_head(self, hub_id: str, stage: str) -> None:
        """The stage points nowhere. No error when it did already."""
        ...

    def put_ref(self, change: RefChange) -> None:
        """Record the change and apply it to `refs_seen`."""
        ...

    def next_release(self, hub_id: str, stage: str) -> int:
        """1 + the highest n of any promotion of the repo whose release is "stage-n"."""
        ...

    def add_step(self, step: Step) -> Step:
        """Ask for a step. When one of the same (kind, subject) is READY, that one stands (and
        becomes due at the earlier time); when one is RUNNING it will be READY again after it
        ends. Returns the step that stands."""
        ...

    def cancel_steps(self, kind: StepKind, subject: str, reason: str) -> int:
        """End READY and RUNNING steps (a running one becomes stale: its fence grows, and its lock
        is free when its lease ends: whoever runs it has until then to notice; at once where that
        is further away than LONGEST_LEASE). Returns how many."""
        ...

    def fence(self, claim: Claim) -> None:
        """Lock the claimed step. Raises StaleClaim unless the claim still holds it."""
        ...

    def finish(self, claim: Claim) -> Step | None:
        """End the step as DONE; returns the step when it was asked for again meanwhile (it is
        READY then). The attempt's outcome is DONE. Calls `fence` first."""
        ...

    def give_back(self, claim: Claim, due_at: float, error: str | None, *, counts: bool) -> None:
        """Make the step READY again, due at `due_at`. `counts` is False when the try should not
        count as an attempt (shutdown). The attempt's outcome is GIVEN_BACK and the error. Calls
        `fence` first."""
        ...

    def fail(self, claim: Claim, error: str) -> None:
        """End the step as FAILED. The attempt's outcome is FAILED and the error. Calls `fence`
        first."""
        ...


@dataclass(frozen=True, slots=True)
class Forgotten:
    """How far emptying bodies went: how many were emptied, up to which place in the order of
    recording, up to which place all were old enough, and whether there may be more behind."""

    emptied: int
    upto: int
    settled: int
    more: bool


class Archive(Protocol):
    """What retention needs of the database. Raises LedgerUnavailable when it cannot serve now."""

    def view(self) -> AbstractContextManager[View]:
        """A read-only snapshot."""
        ...

    def forget_bodies(self, before: float, after: int = 0) -> Forgotten:
        """Empty the bodies of some deliveries received before `before`, in one short transaction:
        those recorded next after the place `after` (0: from the first). All else of them
        stays."""
        ...


class Ledger(Protocol):
    """The database. Raises LedgerUnavailable when it cannot serve now."""

    def transaction(self) -> AbstractContextManager[Transaction]:
        """A write transaction: commits at the end of the block, rolls back on an exception."""
        ...

    def view(self) -> AbstractContextManager[View]:
        """A read-only snapshot."""
        ...

    def claim(self, step_id: str, worker: str, lease: float) -> Claim | None:
        """Claim a READY step that is due, unless a RUNNING one has the same lock. None when it
        cannot be had. `lease` in seconds. Increments fence and attempts, records an Attempt."""
        ...

    def renew(self, claim: Claim, lease: float) -> bool:
        """Extend the lease; False when the claim is stale (the work must stop)."""
        ...

    def expired(self, now: float) -> Sequence[Step]:
        """RUNNING steps whose lease has ended."""
        ...

    def reclaim(self, step: Step) -> bool:
        """Make an expired step READY (compare-and-set on its fence), so that it can be claimed
        again; its attempt ends with outcome "lease expired"."""
        ...

    def due(self, now: float, limit: int = 1000) -> Sequence[Step]:
        """READY steps that are due, oldest first; at most `limit` of each queue, so that none
        hides another."""
        ...

    def ping(self) -> None:
        """Raises LedgerUnavailable unless the database answers and its schema is current."""
        ...
