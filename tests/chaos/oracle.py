"""Looks at what a storm left behind and says which promises do not hold. Knows no driver.

It reads the ledger, the Local Hub's folder, the journal that the sittings write, and the files
that Proctor left. The diary tells only what nobody else can know: what people did by hand, what
a revision is worth, and which processes stood still.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.diary import Diary
from tests.chaos.hub_record import HubRecord, RefMove, Sent

from proctor.core.event import Delivery, Disposition, Event
from proctor.core.promotion import Operation, Promotion
from proctor.core.record import StageHead, VerdictRecord
from proctor.core.run import Attempt, Run, RunCheck, StepKind
from proctor.ports.ledger import Ledger, View

ALL = 1_000_000


@dataclass(frozen=True, slots=True)
class Remains:
    """Where to look. `files` are searched for `secrets` together with `rows`, all of the
    database's bytes; `alive` are commands of processes that should have ended."""

    ledger: Ledger
    hub: HubRecord
    webhook: str
    witness: str
    journal: Path
    diary: Diary
    files: Sequence[Path]
    rows: Callable[[], Iterator[bytes]]
    secrets: Sequence[str]
    alive: Sequence[str] = ()


@dataclass(slots=True)
class Report:
    """What is wrong, by promise; and how much was looked at."""

    wrong: list[str] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)

    def expect(self, promise: str, holds: bool, otherwise: str) -> None:
        """Count one look at a promise, and what it found."""
        self.seen[promise] += 1
        if not holds:
            self.wrong.append(f"{promise}: {otherwise}")


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything on record, read once."""

    deliveries: Sequence[Delivery]
    events: Sequence[Event]
    runs: Sequence[Run]
    checks: Sequence[tuple[Run, RunCheck]]
    attempts: Sequence[tuple[str, Sequence[Attempt]]]
    verdicts: Sequence[tuple[Run, VerdictRecord]]
    promotions: Sequence[Promotion]
    operations: Sequence[Operation]
    heads: Sequence[StageHead]
    moves: Sequence[RefMove]
    sent: Sequence[Sent]


def gather(remains: Remains, view: View) -> Facts:
    """Read all of it."""
    runs = view.runs(limit=ALL)
    checks = [(run, check) for run in runs for check in view.checks(run.id)]
    promotions = view.promotions(limit=ALL)
    tries = [(f"check {c.id}", view.attempts(StepKind.CHECK, c.id)) for _, c in checks]
    tries += [(f"promote {p.id}", view.attempts(StepKind.PROMOTE, p.id)) for p in promotions]
    verdicts = [
        (run, record)
        for run in runs
        for record in view.verdicts_of(run.hub_id, run.revision)
        if record.run_id == run.id
    ]
    return Facts(
        deliveries=view.deliveries(limit=ALL),
        events=view.events(limit=ALL),
        runs=runs,
        checks=checks,
        attempts=tries,
        verdicts=verdicts,
        promotions=promotions,
        operations=[o for p in promotions for o in view.operations(p.id)],
        heads=view.stage_heads(),
        moves=remains.hub.moves(remains.witness),
        sent=remains.hub.sent(remains.webhook),
    )


def examine(remains: Remains) -> Report:
    """Hold all that is left against the promises."""
    from tests.chaos import oracle_parts, oracle_stages, oracle_up, oracle_work

    report = Report()
    with remains.ledger.view() as view:
        facts = gather(remains, view)
        nothing_is_lost(report, remains, facts, view)
        nothing_is_missed(report, remains, facts)
        oracle_work.nothing_twice(report, remains, facts)
        oracle_parts.unfinished_is_given_back(report, remains, facts)
        oracle_up.examine(report, remains)
        oracle_work.decisions_are_explained(report, facts, view)
        oracle_stages.examine(report, remains, facts, view)
    secrets_stay_put(report, remains)
    report.expect("P8", not remains.alive, f"still alive: {remains.alive}")
    return report


def nothing_is_lost(report: Report, remains: Remains, facts: Facts, view: View) -> None:
    """P1 and P7: what was answered 2xx is on record as often, and came to its end."""
    recorded = Counter(d.webhook_id for d in facts.deliveries)
    for sent in facts.sent:
        report.expect(
            "P1",
            recorded[sent.id] >= sent.acknowledged,
            f"delivery {sent.id} was acknowledged {sent.acknowledged} times, "
            f"{recorded[sent.id]} are on record",
        )
    told = defaultdict(list)
    for delivery in facts.deliveries:
        told[delivery.event_id].append(delivery.disposition)
    for event in facts.events:
        report.expect("P1", event.disposition is not Disposition.PENDING, f"{event.id} pends")
        report.expect("P7", bool(event.reason), f"event {event.id} has no reason")
        first = told[event.id].count(Disposition.PENDING)
        report.expect(
            "P7",
            first == (1 if event.source == "webhook" else 0),
            f"event {event.id} ({event.source}) was told first by {first} deliveries",
        )
    report.expect("P1", None not in told, f"deliveries without event: {told[None]}")
    report.expect("P1", not view.open_steps(), f"open steps: {view.open_steps()}")
    open_runs = [r.id for r in facts.runs if not r.status.ended]
    report.expect("P1", not open_runs, f"open runs: {open_runs}")


def nothing_is_missed(report: Report, remains: Remains, facts: Facts) -> None:
    """P3: the head of each repo that was pushed to has a run."""
    judged = {(r.hub_id, r.revision) for r in facts.runs}
    for hub_id, name in remains.hub.repos().items():
        head = remains.hub.refs(name)["refs/heads/main"]
        if head in remains.diary.scores:
            report.expect("P3", (hub_id, head) in judged, f"{name}@{head} was never judged")


def secrets_stay_put(report: Report, remains: Remains) -> None:
    """P8: no secret in any byte of the database, or of a file."""
    for secret in remains.secrets:
        word = secret.encode()
        for row in remains.rows():
            if word in row:
                report.expect("P8", False, f"a secret is in the database: {row[:80]!r}")
        for path in remains.files:
            report.expect("P8", word not in path.read_bytes(), f"a secret is in {path}")
