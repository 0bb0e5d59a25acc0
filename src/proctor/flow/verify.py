"""Verify: a verdict computed once more, from nothing but the record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from proctor.core.evidence import Evidence
from proctor.core.gate import Reason, Verdict, judge
from proctor.core.names import short
from proctor.core.record import VerdictRecord
from proctor.core.rule import gate_digest
from proctor.core.run import Run
from proctor.flow.judge import NO_BASELINE, checks_ran
from proctor.ports.ledger import View


@dataclass(frozen=True, slots=True)
class Verified:
    """What came out, and in words where it differs from what is on record (nowhere: it is the
    same).

    `otherwise` are reasons that say the same and are worded in another way: another version of
    Proctor wrote them, or a number was changed that changes nothing."""

    recomputed: Verdict
    differences: tuple[str, ...]
    otherwise: tuple[str, ...] = ()

    @property
    def same(self) -> bool:
        """Whether the record bears its verdict out."""
        return not self.differences


def verify(view: View, run: Run, record: VerdictRecord) -> Verified:
    """Judge again under the gate as it stood, by the evidence that the verdict names, and compare
    the result, and that of each reason.

    Besides, the evidence has to be that of the run, and gate and checks those whose digest the
    verdict carries. Needs neither the Hub nor the configuration."""
    found = {each: view.evidence(each) for each in record.evidence_ids}
    evidence = {e.check: e for e in found.values() if e is not None}
    differences = [f"evidence {i} is not on record" for i, e in found.items() if e is None]
    differences += _foreign(run, [e for e in found.values() if e is not None])
    if {c.evidence_id for c in view.checks(run.id) if c.evidence_id} != found.keys():
        differences.append("the checks of the run name other evidence than the verdict does")
    if gate_digest(record.gate, checks_ran(view.checks(run.id))) != record.gate_digest:
        differences.append("gate and checks on record are not those that were judged by")
    again = judge(record.gate, evidence, NO_BASELINE)
    differences += _compared(record.verdict, again)
    return Verified(
        again, tuple(differences), () if differences else _worded(record.verdict, again)
    )


def _foreign(run: Run, evidence: Sequence[Evidence]) -> Sequence[str]:
    return [
        f"evidence {e.id} of check {e.check} is about {short(e.revision)}"
        for e in evidence
        if e.revision != run.revision
    ]


def _compared(recorded: Verdict, again: Verdict) -> Sequence[str]:
    found = []
    if recorded.result is not again.result:
        found.append(f"the verdict on record is {recorded.result.value}, now {again.result.value}")
    if [r.result for r in recorded.reasons] != [r.result for r in again.reasons]:
        before, now = set(recorded.reasons), set(again.reasons)
        found += [f"not found again: {_told(r)}" for r in recorded.reasons if r not in now]
        found += [f"not on record: {_told(r)}" for r in again.reasons if r not in before]
        if before == now:
            found.append("the reasons come in another order, or not as often")
    return found


def _worded(recorded: Verdict, again: Verdict) -> tuple[str, ...]:
    """Where the same results are told in other words."""
    pairs = zip(recorded.reasons, again.reasons, strict=True)
    return tuple(f"on record: {a.text}; now: {b.text}" for a, b in pairs if a.text != b.text)


def _told(reason: Reason) -> str:
    return f"{reason.result.value}, {reason.text}"
