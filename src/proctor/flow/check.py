"""Check: measure a revision, and record what was found or why nothing could be."""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from proctor.core.checking import onward
from proctor.core.errors import Cancelled, CheckFailed
from proctor.core.evidence import Evidence, Findings, Outcome
from proctor.core.run import CheckStatus, Run, RunCheck, Step
from proctor.flow.follow import by_id
from proctor.flow.runs import QueueOf, judge_step, ready_checks
from proctor.ports.check import Check as Measure
from proctor.ports.check import Room, Subject
from proctor.ports.clock import Clock
from proctor.ports.hub import Hub
from proctor.ports.ledger import Claim, Ledger, Transaction
from proctor.ports.shelf import Shelf

log = logging.getLogger(__name__)

PROGRESS_EVERY = 10.0
"""Seconds between two lines in the log about the progress of one check, at the least."""


@dataclass(frozen=True, slots=True)
class Folders:
    """Where checks work. `work` is emptied after each try; `artifacts` is kept; `base` is where
    relative paths of the configuration start."""

    work: Path
    artifacts: Path
    base: Path


@dataclass(frozen=True, slots=True)
class Check:
    """The step. Its subject is a RunCheck's id."""

    ledger: Ledger
    hub: Hub
    clock: Clock
    build: Callable[[RunCheck], Measure]
    queue_of: QueueOf
    folders: Folders
    shelf: Shelf

    def do(self, claim: Claim, lost: Callable[[], bool]) -> Sequence[Step]:
        """Measure; the evidence and what follows from it are committed together."""
        with self.ledger.view() as view:
            check = view.check(claim.step.subject)
            run = view.run(check.run_id) if check else None
            entry = view.entry(run.hub_id, run.revision) if run else None
            known = view.known_repo(run.hub_id) if run else None
        if check is None or run is None or entry is None or known is None:
            raise CheckFailed(f"check {claim.step.subject} is not on record")
        if run.status.ended or check.status is not CheckStatus.READY:
            with self.ledger.transaction() as tx:
                tx.finish(claim)
            return ()
        subject = Subject(known.repo, run.revision, entry.description)
        findings = self._measure(claim, check, subject, lost)
        return self._record(claim, check, run.hub_id, findings, None)

    def give_up(self, claim: Claim, reason: str) -> Sequence[Step]:
        """The error is evidence too: the verdict will be inconclusive."""
        with self.ledger.view() as view:
            check = view.check(claim.step.subject)
            run = view.run(check.run_id) if check else None
        if check is None or run is None:
            with self.ledger.transaction() as tx:
                tx.fail(claim, reason)
            return ()
        return self._record(claim, check, run.hub_id, Findings(), reason)

    def _measure(
        self, claim: Claim, check: RunCheck, subject: Subject, lost: Callable[[], bool]
    ) -> Findings:
        measure = self.build(check)
        kept = self.folders.artifacts / check.run_id / check.name / str(claim.step.fence)
        kept.mkdir(parents=True, exist_ok=True)
        self.folders.work.mkdir(parents=True, exist_ok=True)
        with (
            ExitStack() as held,
            tempfile.TemporaryDirectory(
                dir=self.folders.work, prefix=f"{check.id}-", ignore_cleanup_errors=True
            ) as scratch,
        ):
            work = Path(scratch) / "work"
            work.mkdir()
            room = Room(
                work=work,
                artifacts=kept,
                base=self.folders.base,
                snapshot=lambda: self._snapshot(subject, lost, held),
                cancelled=lost,
                progress=paced(self.clock, f"check {check.name} of run {check.run_id}"),
            )
            findings = measure.measure(subject, room)
        for left in self.folders.work.glob(f"{check.id}-*"):  # by workers that were killed
            shutil.rmtree(left, ignore_errors=True)
        if lost():
            raise Cancelled("the lease was lost while measuring")
        prefix = kept.relative_to(self.folders.artifacts)
        artifacts = tuple(replace(a, path=str(prefix / a.path)) for a in findings.artifacts)
        return replace(findings, artifacts=artifacts)

    def _snapshot(self, subject: Subject, lost: Callable[[], bool], held: ExitStack) -> Path:
        """Download the subject, or what earlier tries left to do of it."""
        size = sum(file.size for file in subject.description.files)
        place = held.enter_context(self.shelf.borrow(subject.revision, size))
        with by_id(self.ledger, self.clock, subject.repo.hub_id):
            return self.hub.snapshot(subject.repo, subject.revision, place, lost)

    def _record(
        self, claim: Claim, check: RunCheck, hub_id: str, findings: Findings, error: str | None
    ) -> Sequence[Step]:
        with self.ledger.transaction() as tx:
            tx.known_repo(hub_id)  # first, as a look does, which ends runs and steps too
            tx.fence(claim)
            run = tx.run(check.run_id)
            current = tx.check(check.id)
            if run is None or current is None or run.status.ended:
                tx.finish(claim)
                return ()
            self._add(tx, run, current, findings, error)
            wake = self._go_on(tx, run)
            if error is None:
                tx.finish(claim)
            else:
                tx.fail(claim, error)
        return wake

    def _add(
        self, tx: Transaction, run: Run, check: RunCheck, findings: Findings, error: str | None
    ) -> None:
        evidence = Evidence(
            id=self.clock.new_id(),
            check=check.name,
            revision=run.revision,
            outcome=Outcome.MEASURED if error is None else Outcome.ERRORED,
            findings=findings,
            error=error,
        )
        tx.add_evidence(evidence)
        tx.save(replace(check, status=CheckStatus.DONE, evidence_id=evidence.id))

    def _go_on(self, tx: Transaction, run: Run) -> Sequence[Step]:
        checks = tx.checks(run.id)
        onwards = onward(checks, tx.outcomes(run.id))
        for check, cause in onwards.blocked:
            reason = f"not run: check {cause}, which it needs, could not measure"
            self._add(tx, run, check, Findings(), reason)
        wake = [*ready_checks(tx, self.clock, run, onwards.ready, self.queue_of)]
        if onwards.complete:
            wake.append(tx.add_step(judge_step(self.clock, run)))
        return wake


def paced(clock: Clock, what: str) -> Callable[[int, int, str], None]:
    """Writes progress (done, total, of what) to the log, every ten seconds at the most."""
    next_at = clock.monotonic()

    def tell(done: int, total: int, part: str) -> None:
        nonlocal next_at
        now = clock.monotonic()
        if now >= next_at:
            next_at = now + PROGRESS_EVERY
            log.info("%s: %s %d/%d", what, part, done, total)

    return tell
