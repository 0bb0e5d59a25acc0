"""The oracle's view of tags: P4, P5 and P9; P6 has a file of its own."""

from __future__ import annotations

import re
from collections import Counter, defaultdict

from tests.chaos.diary import Diary
from tests.chaos.hub_record import RefMove, Sent
from tests.chaos.oracle import Facts, Remains, Report
from tests.chaos.oracle_people import people_outrank

from proctor.core.event import Disposition
from proctor.core.gate import Result
from proctor.core.names import tag_ref
from proctor.core.promotion import OperationKind, PromotionStatus
from proctor.core.run import RunStatus
from proctor.ports.ledger import View

STAGES = ("staging", "prod")
PASSES = 0.5

_RELEASE = re.compile(r"prod-(\d+)")


def examine(report: Report, remains: Remains, facts: Facts, view: View) -> None:
    """All of it."""
    ours, theirs = _sorted_out(facts, remains.diary)
    nothing_half_done(report, remains, facts, ours)
    nothing_unproven(report, remains, facts, ours)
    people_outrank(report, remains, facts, theirs, view)
    no_echo_starts_work(report, remains, facts, ours)
    releases_never_move(report, facts, ours)


def _sorted_out(facts: Facts, diary: Diary) -> tuple[list[RefMove], list[RefMove]]:
    """Moves of tags: Proctor's, and people's (as their diary tells)."""
    ours: list[RefMove] = []
    theirs: list[RefMove] = []
    for move in facts.moves:
        if not move.ref.startswith("refs/tags/"):
            continue
        by_hand = diary.hand_behind(move.repo, move.ref, move.new, move.at)
        (theirs if by_hand else ours).append(move)
    return ours, theirs


def nothing_half_done(report: Report, remains: Remains, facts: Facts, ours: list[RefMove]) -> None:
    """P4: every move was journaled before; every promotion ended; the tags are where the ledger
    says, and a head that passes is in every stage."""
    for move in ours:
        kind = OperationKind.DELETE if move.new is None else OperationKind.CREATE
        journaled = [
            o
            for o in facts.operations
            if o.hub_id == move.hub_id
            and o.kind is kind
            and tag_ref(o.tag) == move.ref
            and o.recorded_at <= move.at
            and (kind is OperationKind.DELETE or o.revision == move.new)
        ]
        report.expect("P4", bool(journaled), f"{move} was not journaled before")
    for promotion in facts.promotions:
        report.expect("P4", promotion.status.ended, f"promotion {promotion.id} is open")
        if promotion.status is PromotionStatus.DONE:
            pointed = [
                m
                for m in facts.moves
                if m.hub_id == promotion.hub_id
                and m.ref == tag_ref(promotion.stage)
                and m.new == promotion.revision
                and m.at <= (promotion.ended_at or 0)
            ]
            report.expect("P4", bool(pointed), f"promotion {promotion.id} never happened")
        report.seen[f"promotion {promotion.status}"] += 1
    for hub_id, name in remains.hub.repos().items():
        refs = remains.hub.refs(name)
        head = refs["refs/heads/main"]
        left = {h.stage: h.revision for h in facts.heads if h.hub_id == hub_id}
        for stage in STAGES:
            found = refs.get(tag_ref(stage))
            report.expect(
                "P4", found == left.get(stage), f"{name}: {stage} is at {found}, not {left}"
            )
            if remains.diary.scores.get(head, 0) >= PASSES:
                run = next((r for r in facts.runs if r.revision == head), None)
                report.expect(
                    "P4",
                    found == head and run is not None and run.status is RunStatus.PROMOTED,
                    f"{name}: the head {head} passes, but {stage} is at {found}; {run}",
                )


def nothing_unproven(report: Report, remains: Remains, facts: Facts, ours: list[RefMove]) -> None:
    """P5: no tag was pointed at a revision without a passing verdict by then, nor past a stage;
    and what passed is worth it."""
    passed: dict[tuple[str, str], float] = {}
    for run, record in facts.verdicts:
        if record.verdict.result is Result.PASS:
            of = (run.hub_id, str(run.revision))
            passed[of] = min(record.judged_at, passed.get(of, record.judged_at))
            worth = remains.diary.scores[run.revision]
            report.expect("P5", worth >= PASSES, f"{run.revision} passed with {worth}")
    been: dict[tuple[str, str], float] = {}
    for move in [m for m in facts.moves if m.ref == tag_ref("staging") and m.new]:
        assert move.new is not None
        been.setdefault((move.hub_id, move.new), move.at)
    for move in ours:
        if move.new is None:
            continue
        key = (move.hub_id, move.new)
        proven = passed.get(key)
        report.expect("P5", proven is not None and proven <= move.at, f"unproven: {move}")
        if move.ref != tag_ref("staging"):
            before = been.get(key)
            report.expect("P5", before is not None and before <= move.at, f"jumped: {move}")


def no_echo_starts_work(
    report: Report, remains: Remains, facts: Facts, ours: list[RefMove]
) -> None:
    """P9: our own moves that came back are echoes; nothing but a branch started a run."""
    told = {d.webhook_id: d.event_id for d in facts.deliveries if d.event_id}
    events = {e.id: e for e in facts.events}
    started = {r.event_id for r in facts.runs if r.event_id}
    for event_id in started:
        updates = events[event_id].updates
        branch = any(u.ref.startswith("refs/heads/") for u in updates) or not updates
        report.expect("P9", branch, f"event {event_id} about {updates} started a run")
    own = {(m.repo, m.ref, m.new) for m in ours}
    # What we may have done is done again where nobody told that it was, and undone meanwhile: then
    # one intent is behind several moves, and explains the last of them.
    again: Counter[tuple[str, str, str | None]]
    again = Counter((m.hub_id, m.ref, m.new) for m in ours if m.new is not None)
    again.subtract(
        (o.hub_id, tag_ref(o.tag), str(o.revision))
        for o in facts.operations
        if o.kind is OperationKind.CREATE
    )
    for sent in facts.sent:
        event = events.get(told.get(sent.id, ""))
        if event is None or len(sent.refs) != 1 or (sent.repo, *sent.refs[0]) not in own:
            continue
        ref, _ = sent.refs[0]
        if not ref.startswith("refs/tags/") or _by_hand(remains.diary, sent):
            continue
        once_more = (event.hub_id, *sent.refs[0])
        if event.disposition is not Disposition.ECHO and again[once_more] > 0:
            again[once_more] -= 1
            report.seen["tags made twice for one intent"] += 1
            continue
        report.expect(
            "P9",
            event.disposition is Disposition.ECHO,
            f"our own move of {ref} came back as {event.disposition}: {event.reason}",
        )


def _by_hand(diary: Diary, sent: Sent) -> bool:
    """Whether a person did that, or the same so shortly before or after that either may be taken
    for the other: then they are told in one breath, and by nothing apart."""
    ((ref, new),) = sent.refs
    return diary.hand_behind(sent.repo, ref, new, sent.at, just=5.0) is not None


def releases_never_move(report: Report, facts: Facts, ours: list[RefMove]) -> None:
    """Release tags are made once each, and never touched again."""
    made: dict[tuple[str, str], int] = defaultdict(int)
    for move in ours:
        if _RELEASE.fullmatch(move.ref.removeprefix("refs/tags/")):
            made[(move.repo, move.ref)] += 1
            report.expect("P4", move.old is None and move.new is not None, f"{move}")
    for (repo, ref), times in made.items():
        report.expect("P4", times == 1, f"{repo}: {ref} was made {times} times")
    for promotion in facts.promotions:
        if promotion.stage == "prod" and promotion.status is PromotionStatus.DONE:
            report.expect("P4", bool(promotion.release), f"{promotion.id} made no release")
