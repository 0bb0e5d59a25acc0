"""The oracle's view of runs, evals and verdicts: P2 and P7."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from tests.chaos.diary import Diary
from tests.chaos.oracle import Facts, Remains, Report

from proctor.core.gate import judge
from proctor.core.run import Attempt, CheckStatus, RunStatus
from proctor.flow.judge import evidence_of
from proctor.ports.ledger import View

LEASE, BEAT = 5.0, 1.0  # seconds, as in `deployment`
JUST = 0.5


@dataclass(frozen=True, slots=True)
class Sitting:
    """An eval process as its own notes tell: `until` is the last sign of life."""

    exam: str
    worker: int
    pid: int
    begun: float
    until: float


def sittings(journal: Path) -> list[Sitting]:
    """Every sitting in the journal, by begin."""
    found: dict[tuple[str, int], Sitting] = {}
    done: list[Sitting] = []
    for line in journal.read_text().splitlines() if journal.exists() else ():
        note = json.loads(line)
        key = (note["exam"], note["pid"])
        if note["what"] == "begin":
            if key in found:
                done.append(found[key])
            found[key] = Sitting(*key[:1], note["worker"], note["pid"], note["at"], note["at"])
        else:
            old = found[key]
            found[key] = Sitting(old.exam, old.worker, old.pid, old.begun, note["at"])
    return sorted([*done, *found.values()], key=lambda s: s.begun)


def nothing_twice(report: Report, remains: Remains, facts: Facts) -> None:
    """P2."""
    asked = Counter((r.hub_id, r.pipeline, r.revision, r.number) for r in facts.runs)
    for key, times in asked.items():
        report.expect("P2", times == 1, f"{times} runs {key}")
    by_id = {r.id: r for r in facts.runs}
    for run in facts.runs:
        before = by_id.get(run.again_of or "")
        again = before is not None and before.status is RunStatus.SUPERSEDED
        report.expect(
            "P2",
            run.number == 1 or again,
            f"run {run.id} is number {run.number}, again of {before}",
        )
    told: dict[str, set[str | None]] = defaultdict(set)
    for delivery in facts.deliveries:
        told[delivery.webhook_id or delivery.id].add(delivery.event_id)
    for name, events in told.items():
        report.expect("P2", len(events) == 1, f"delivery {name} made the events {events}")
    identities = Counter(e.identity for e in facts.events)
    report.expect("P2", all(n == 1 for n in identities.values()), "an event is there twice")
    accepted = Counter(c.evidence_id for _, c in facts.checks if c.evidence_id)
    report.expect("P2", all(n == 1 for n in accepted.values()), "evidence counts for two checks")
    for what, attempts in facts.attempts:
        done = [a for a in attempts if a.outcome == "done"]
        report.expect("P2", len(done) <= 1, f"{what} was done {len(done)} times: {done}")
        _one_after_the_other(report, what, attempts)
    _never_side_by_side(report, remains)


def _one_after_the_other(report: Report, what: str, attempts: Sequence[Attempt]) -> None:
    tries = sorted(attempts, key=lambda a: a.started_at)
    for one, other in pairwise(tries):
        report.expect(
            "P2",
            one.ended_at is not None and one.ended_at <= other.started_at,
            f"tries of {what} overlap: {one} {other}",
        )


def _never_side_by_side(report: Report, remains: Remains) -> None:
    by_exam: dict[str, list[Sitting]] = defaultdict(list)
    for sitting in sittings(remains.journal):
        by_exam[sitting.exam].append(sitting)
        report.seen["sittings"] += 1
    for exam, sat in by_exam.items():
        for one, other in pairwise(sat):
            if one.until > other.begun and _stood_still(remains.diary, one, other.begun):
                report.seen["computed twice by a frozen worker"] += 1
                continue
            report.expect("P2", one.until <= other.begun, f"{exam} ran side by side: {one} {other}")


def _stood_still(diary: Diary, sitting: Sitting, at: float) -> bool:
    """Whether the worker of the sitting stood still for so long by then that its lease was over:
    the honest exception of P2."""
    return any(
        f.pid in (sitting.worker, None)
        and f.since + LEASE - BEAT <= at + JUST
        and f.until >= max(sitting.begun, f.since + LEASE - BEAT)
        for f in diary.frozen
    )


def decisions_are_explained(report: Report, facts: Facts, view: View) -> None:
    """P7: verdicts come out the same from what is on record; checks that are done have evidence
    of exactly their revision."""
    for run, record in facts.verdicts:
        evidence = evidence_of(view, view.checks(run.id), {})
        again = judge(record.gate, evidence, {})
        report.expect("P7", again == record.verdict, f"verdict {record.id} comes out otherwise")
        ids = {e.id for e in evidence.values()}
        report.expect("P7", ids == set(record.evidence_ids), f"{record.id} rests on other ids")
    judged = Counter(run.id for run, _ in facts.verdicts)
    report.expect("P2", all(n == 1 for n in judged.values()), f"judged twice: {judged}")
    for run, check in facts.checks:
        found = view.evidence(check.evidence_id) if check.evidence_id else None
        if check.status is CheckStatus.DONE:
            report.expect("P7", found is not None, f"check {check.id} is done without evidence")
        if found is not None:
            report.expect("P5", found.revision == run.revision, f"{check.id}: another's evidence")
    for run in facts.runs:
        report.expect(
            "P7",
            bool(run.reason) or run.status is RunStatus.PROMOTED,
            f"run {run.id} is {run.status} without a reason",
        )
