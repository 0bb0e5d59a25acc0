"""Reads of runs, checks, evidence, verdicts and steps."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import select

from proctor.core.evidence import Evidence, Outcome
from proctor.core.names import Revision
from proctor.core.record import VerdictRecord
from proctor.core.run import Attempt, Run, RunCheck, RunStatus, Step, StepKind, StepState
from proctor.ledger.reads.base import Reads, among, of

RUNS, CHECKS, EVIDENCE, VERDICTS = of(Run), of(RunCheck), of(Evidence), of(VerdictRecord)
STEPS, ATTEMPTS = of(Step), of(Attempt)

_OPEN_RUN = [s.value for s in RunStatus if not s.ended]
OPEN_STEP = [StepState.READY.value, StepState.RUNNING.value]


class RunReads(Reads):
    """What is examined, and what came of it."""

    def run(self, id: str) -> Run | None:
        """By id."""
        return self._one(Run, id=id)

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
        query = select(RUNS).order_by(RUNS.c.created_at.desc(), RUNS.c.seq.desc()).limit(limit)
        asked = {"hub_id": hub_id, "pipeline": pipeline, "revision": revision}
        for name, wanted in asked.items():
            if wanted is not None:
                query = query.where(RUNS.c[name] == wanted)
        if status is not None:
            query = query.where(RUNS.c.status == status.value)
        if open_only:
            query = query.where(among(RUNS.c.status, _OPEN_RUN))
        return self._many(Run, query)

    def runs_at(self, hub_id: str, revisions: Collection[Revision], since: float) -> Sequence[Run]:
        """Those of the repo that are open, those of the revisions, and those that begin after
        `since`; newest first."""
        wanted = among(RUNS.c.status, _OPEN_RUN) | (RUNS.c.begins_at > since)
        if revisions:
            wanted |= among(RUNS.c.revision, sorted(revisions))
        query = select(RUNS).where(RUNS.c.hub_id == hub_id, wanted)
        return self._many(Run, query.order_by(RUNS.c.created_at.desc(), RUNS.c.seq.desc()))

    def checks(self, run_id: str) -> Sequence[RunCheck]:
        """In the order in which they were planned."""
        query = select(CHECKS).where(CHECKS.c.run_id == run_id)
        return self._many(RunCheck, query.order_by(CHECKS.c.seq))

    def check(self, id: str) -> RunCheck | None:
        """By id."""
        return self._one(RunCheck, id=id)

    def evidence(self, id: str) -> Evidence | None:
        """By id."""
        return self._first(Evidence, select(EVIDENCE).where(EVIDENCE.c.id == id))

    def outcomes(self, run_id: str) -> Mapping[str, Outcome]:
        """What came of the checks of the run that have evidence, by their names."""
        query = (
            select(CHECKS.c.name, EVIDENCE.c.outcome)
            .join(EVIDENCE, EVIDENCE.c.id == CHECKS.c.evidence_id)
            .where(CHECKS.c.run_id == run_id)
        )
        return {name: Outcome(outcome) for name, outcome in self._connection.execute(query)}

    def verdict(self, run_id: str) -> VerdictRecord | None:
        """The newest verdict of the run."""
        newest = (VERDICTS.c.judged_at.desc(), VERDICTS.c.seq.desc())
        query = select(VERDICTS).where(VERDICTS.c.run_id == run_id)
        return self._first(VerdictRecord, query.order_by(*newest))

    def verdicts_of(self, hub_id: str, revision: Revision) -> Sequence[VerdictRecord]:
        """Of all runs of the revision, newest first."""
        query = (
            select(VERDICTS)
            .join(RUNS, RUNS.c.id == VERDICTS.c.run_id)
            .where(RUNS.c.hub_id == hub_id, RUNS.c.revision == revision)
            .order_by(VERDICTS.c.judged_at.desc(), VERDICTS.c.seq.desc())
        )
        return self._many(VerdictRecord, query)

    def step(self, id: str) -> Step | None:
        """By id."""
        return self._one(Step, id=id)

    def open_steps(self) -> Sequence[Step]:
        """READY and RUNNING, by due time."""
        query = select(STEPS).where(among(STEPS.c.state, OPEN_STEP))
        return self._many(Step, query.order_by(STEPS.c.due_at, STEPS.c.seq))

    def attempts(self, kind: StepKind, subject: str) -> Sequence[Attempt]:
        """Every try of this (kind, subject), oldest first."""
        query = select(ATTEMPTS).where(ATTEMPTS.c.kind == kind.value, ATTEMPTS.c.subject == subject)
        order = (ATTEMPTS.c.started_at, ATTEMPTS.c.step_id, ATTEMPTS.c.fence)
        return self._many(Attempt, query.order_by(*order))
