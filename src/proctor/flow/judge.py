"""Judge: the gate as it stands, against the evidence on record."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from proctor.core import compose
from proctor.core.errors import PermanentError
from proctor.core.evidence import Evidence
from proctor.core.gate import Baseline, Result, Verdict, judge
from proctor.core.record import VerdictRecord
from proctor.core.registry import bare
from proctor.core.rule import CheckSpec, Pipeline, Rules, gate_digest
from proctor.core.run import Run, RunStatus, Step
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
        with self.ledger.transaction() as tx:
            tx.fence(claim)
            run = tx.run(claim.step.subject)
            if run is None or run.status is not RunStatus.CHECKING:
                tx.finish(claim)
                return ()
            pipeline = self.rules.pipeline(run.pipeline)
            if pipeline is None:
                raise PermanentError(f"pipeline {run.pipeline} is no longer in the configuration")
            evidence = evidence_of(tx, run.id)
            verdict = judge(pipeline.gate, evidence, NO_BASELINE)
            tx.add(
                VerdictRecord(
                    id=self.clock.new_id(),
                    run_id=run.id,
                    verdict=verdict,
                    gate=pipeline.gate,
                    # The checks as they ran: where the configuration has others by now, this
                    # verdict opens no gate.
                    gate_digest=gate_digest(pipeline.gate, checks_ran(tx, run)),
                    evidence_ids=tuple(e.id for _, e in sorted(evidence.items())),
                    judged_at=self.clock.now(),
                )
            )
            wake = self._follow(tx, run, pipeline, verdict)
            tx.finish(claim)
            return wake

    def give_up(self, claim: Claim, reason: str) -> Sequence[Step]:
        """The run fails, and people are told."""
        with self.ledger.transaction() as tx:
            tx.fail(claim, reason)
            run = tx.run(claim.step.subject)
            if run is None or run.status.ended:
                return Trouble(self.clock, self.rules, self.link).gave_up(tx, claim.step, reason)
            return fail_run(tx, self.clock, self.rules, run, reason, self.link)

    def _follow(
        self, tx: Transaction, run: Run, pipeline: Pipeline, verdict: Verdict
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
            entry = tx.entry(run.hub_id, run.revision)
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


def checks_ran(view: View, run: Run) -> Sequence[CheckSpec]:
    """The checks of a run as they ran, whatever the configuration says by now."""
    return [CheckSpec(c.name, c.use, c.parameters, c.needs, c.content) for c in view.checks(run.id)]


def evidence_of(view: View, run_id: str) -> Mapping[str, Evidence]:
    """The evidence of a run by check name."""
    found = {}
    for check in view.checks(run_id):
        evidence = view.evidence(check.evidence_id) if check.evidence_id else None
        if evidence is not None:
            found[check.name] = evidence
    return found
