"""Judge: the gate as it stands, against the evidence on record."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from proctor.core import compose
from proctor.core.errors import PermanentError
from proctor.core.evidence import Evidence
from proctor.core.gate import Baseline, Result, Verdict, judge
from proctor.core.record import Entry, VerdictRecord
from proctor.core.registry import bare
from proctor.core.rule import CheckSpec, Pipeline, Rules, gate_digest
from proctor.core.run import Run, RunCheck, RunStatus, Step
from proctor.flow.outbox import tell
from proctor.flow.runs import Link, fail_run, new_promotion, start_promotion
from proctor.flow.trouble import Trouble
from proctor.ports.clock import Clock
from proctor.ports.ledger import Claim, Ledger, Transaction, View


@dataclass(frozen=True, slots=True)
class Judge:
    """The step. Its subject is a run's id."""

    ledger: Ledger
    clock: Clock
    rules: Rules
    link: Link

    def do(self, claim: Claim, lost: Callable[[], bool]) -> Sequence[Step]:
        """Commit the verdict together with the first promotion, or with the run's end."""
        with self.ledger.view() as view:
            # There may be much of both. Evidence never changes once it is on record, and of the
            # entry only the notice tells.
            read = evidence_of(view, view.checks(claim.step.subject), {})
            known = view.run(claim.step.subject)
            entry = view.entry(known.hub_id, known.revision) if known else None
        with self.ledger.transaction() as tx:
            if known is not None:
                tx.known_repo(known.hub_id)  # first, as a look does, which ends runs and steps too
            tx.fence(claim)
            run = tx.run(claim.step.subject)
            if run is None or run.status is not RunStatus.CHECKING:
                tx.finish(claim)
                return ()
            pipeline = self.rules.pipeline(run.pipeline)
            if pipeline is None:
                raise PermanentError(f"pipeline {run.pipeline} is no longer in the configuration")
            checks = tx.checks(run.id)
            evidence = evidence_of(tx, checks, read)
            verdict = judge(pipeline.gate, evidence, NO_BASELINE)
            tx.add(
                VerdictRecord(
                    id=self.clock.new_id(),
                    run_id=run.id,
                    verdict=verdict,
                    gate=pipeline.gate,
                    # The checks as they ran: where the configuration has others by now, this
                    # verdict opens no gate.
                    gate_digest=gate_digest(pipeline.gate, checks_ran(checks)),
                    evidence_ids=tuple(e.id for _, e in sorted(evidence.items())),
                    judged_at=self.clock.now(),
                )
            )
            wake = self._follow(tx, run, pipeline, verdict, entry)
            tx.finish(claim)
            return wake

    def give_up(self, claim: Claim, reason: str) -> Sequence[Step]:
        """The run fails, and people are told."""
        with self.ledger.view() as view:
            known = view.run(claim.step.subject)
        with self.ledger.transaction() as tx:
            if known is not None:
                tx.known_repo(known.hub_id)
            tx.fail(claim, reason)
            run = tx.run(claim.step.subject)
            if run is None or run.status.ended:
                return Trouble(self.clock, self.rules, self.link).gave_up(tx, claim.step, reason)
            return fail_run(tx, self.clock, self.rules, run, reason, self.link)

    def _follow(
        self, tx: Transaction, run: Run, pipeline: Pipeline, verdict: Verdict, entry: Entry | None
    ) -> Sequence[Step]:
        now = self.clock.now()
        if verdict.result is not Result.PASS:
            reason = "; ".join(r.text for r in verdict.reasons if r.result is not Result.PASS)
            held = replace(
                run,
                status=RunStatus.HELD,
                reason=f"{verdict.result.value}: {reason}",
                updated_at=now,
            )
            tx.save(held)
            notice = compose.run_held(
                held,
                verdict,
                self.link(run.repo_type, run.repo_name, run.revision),
                bare=entry is not None and bare(entry.description),
            )
            return tell(tx, self.clock, notice, pipeline.notify)
        if not pipeline.promote:
            reason = "passed; the pipeline promotes to no stage"
            tx.save(replace(run, status=RunStatus.PROMOTED, reason=reason, updated_at=now))
            return ()
        stage = pipeline.promote[0]
        promotion = new_promotion(
            tx, self.clock, self.rules, run, stage, cause="verdict", by="gate"
        )
        reason = f"passed; on its way to {stage}"
        tx.save(replace(run, status=RunStatus.PROMOTING, reason=reason, updated_at=now))
        return (start_promotion(tx, self.clock, promotion),)


NO_BASELINE: Baseline = {}
"""No criterion compares with a stage yet."""


def checks_ran(checks: Sequence[RunCheck]) -> Sequence[CheckSpec]:
    """The checks of a run as they ran, whatever the configuration says by now."""
    return [CheckSpec(c.name, c.use, c.parameters, c.needs, c.content) for c in checks]


def evidence_of(
    view: View, checks: Sequence[RunCheck], read: Mapping[str, Evidence]
) -> Mapping[str, Evidence]:
    """The evidence of the checks by their names. What was `read` before is not read again."""
    found = {}
    for check in checks:
        evidence = read.get(check.name)
        if evidence is None or evidence.id != check.evidence_id:
            evidence = view.evidence(check.evidence_id) if check.evidence_id else None
        if evidence is not None:
            found[check.name] = evidence
    return found
