"""The oracle's view of people and their tags: P6."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from tests.chaos.hub_record import RefMove
from tests.chaos.oracle import Facts, Remains, Report

from proctor.core.names import tag_ref
from proctor.core.promotion import OperationKind, Promotion, PromotionStatus
from proctor.core.record import Hold, OutboxState
from proctor.ports.ledger import View

MOMENT = 10.0
"""Seconds that our last look at a tag and our delete lie apart at the worst: the moment that the
Hub's API leaves open (docs/promises.md, P6)."""

JUST = 1.0
"""Seconds for which a move may have been on its way before it was journaled, by the clocks."""

ALL = 1_000_000


@dataclass(frozen=True, slots=True)
class _Line:
    """What happened to one tag, by time: moves, settled holds and promotions that were done."""

    told: Sequence[tuple[float, RefMove | Hold | Promotion]]


def people_outrank(
    report: Report,
    remains: Remains,
    facts: Facts,
    theirs: Sequence[RefMove],
    view: View,
) -> None:
    """P6: we move a tag only from where we left it, or where it was when a hold was settled.
    Whatever else a person made of it stays, and is a hold with one notice: also where they put it
    just where we would, unless we may have been about to."""
    holds = view.holds(in_force=False)
    by_hand = {id(move) for move in theirs}
    for line in _lines(facts, holds):
        _walk(report, remains, facts, line, by_hand)
    in_force = view.holds()
    report.expect("P6", not in_force, f"holds are left: {in_force}")
    _each_is_told(report, theirs, holds, view)


def _lines(facts: Facts, holds: Sequence[Hold]) -> Sequence[_Line]:
    lines: dict[tuple[str, str], list[tuple[float, RefMove | Hold | Promotion]]]
    lines = defaultdict(list)
    for promotion in facts.promotions:
        key = (promotion.hub_id, tag_ref(promotion.stage))
        at = promotion.ended_at if promotion.status is PromotionStatus.DONE else None
        lines[key] += [] if at is None else [(at, promotion)]
    for move in facts.moves:
        if (key := (move.hub_id, move.ref)) in lines:
            lines[key].append((move.at, move))
    for hold in holds:
        if hold.released_at is not None:
            lines[(hold.hub_id, tag_ref(hold.stage))].append((hold.released_at, hold))
    return [_Line(sorted(told, key=lambda t: t[0])) for told in lines.values()]


def _walk(report: Report, remains: Remains, facts: Facts, line: _Line, by_hand: set[int]) -> None:
    left: str | None = None  # where Proctor may move it from
    last: RefMove | None = None  # a person's, when nothing came after it
    for _, what in line.told:
        if isinstance(what, Hold):
            left = what.found
        elif isinstance(what, Promotion):
            if last is not None and last.new not in (left, None):
                _taken_for_ours(report, facts, last, what)
            left = what.revision
        elif id(what) in by_hand:
            report.seen["tags moved by people"] += 1
            last = what
        else:
            if last is not None and last.new != left:
                _overwritten(report, remains, facts, last, what)
            left, last = what.new, None
    if last is not None:
        report.expect("P6", last.new == left, f"{last} stands, and no hold for it was settled")


def _taken_for_ours(report: Report, facts: Facts, theirs: RefMove, done: Promotion) -> None:
    """A promotion was done with the tag where a person put it: only one that may have put it there
    as well, or puts it back to where it was left, cannot tell."""
    if theirs.new != done.revision or done.cause == "restore":
        return  # elsewhere by then: whoever moves it next is asked
    meant = any(
        o.promotion_id == done.id
        and tag_ref(o.tag) == theirs.ref
        and o.kind is OperationKind.CREATE
        and o.recorded_at <= theirs.at + JUST
        for o in facts.operations
    )
    report.expect("P6", meant, f"{theirs} was taken for our own by {done}")


def _overwritten(
    report: Report, remains: Remains, facts: Facts, theirs: RefMove, ours: RefMove
) -> None:
    """Ours came after theirs, unasked: only the moment before our delete excuses that, or that they
    removed what we may have made, and neither the refs nor a webhook had told us of it."""
    on_its_way = any(
        o.hub_id == ours.hub_id
        and tag_ref(o.tag) == ours.ref
        and o.kind is OperationKind.DELETE
        and o.recorded_at <= theirs.at + JUST
        and (o.observed_at is None or o.observed_at >= theirs.at)
        for o in facts.operations
    )
    at_once = ours.at - theirs.at <= MOMENT
    if on_its_way and (at_once or remains.diary.stood_still(None, theirs.at, ours.at)):
        report.seen["person's move lost in the moment before our delete"] += 1
        return
    heard = {e.id: e.received_at for e in facts.events}
    unseen = theirs.new is None and any(
        o.hub_id == ours.hub_id
        and (tag_ref(o.tag), o.revision) == (ours.ref, theirs.old)
        and o.kind is OperationKind.CREATE
        and o.recorded_at <= theirs.at
        and (o.observed_at is None or o.observed_at >= theirs.at)
        and heard.get(o.event_id or "", ours.at) >= ours.at - MOMENT
        for o in facts.operations
    )
    if unseen:
        report.seen["person's removal of what we may have made"] += 1
        return
    report.expect("P6", False, f"{theirs} was overwritten by {ours}")


def _each_is_told(
    report: Report, theirs: Sequence[RefMove], holds: Sequence[Hold], view: View
) -> None:
    notices = [n for n in view.notices(limit=ALL) if n.notice.kind == "stage.held"]
    told = Counter(n.notice.key for n in notices)
    for notice in notices:
        sent = notice.state is OutboxState.SENT
        report.expect("P6", sent, f"the notice {notice.notice.key} is {notice.state}")
    for hold in holds:
        report.seen["holds"] += 1
        times = told.pop(f"stage.held:{hold.id}", 0)
        report.expect("P6", times == 1, f"{hold} was told {times} times")
        cause = any(
            m.hub_id == hold.hub_id and m.ref == tag_ref(hold.stage) and m.at <= hold.since
            for m in theirs
        )
        report.expect("P6", cause, f"nobody moved the tag of {hold}")
    report.expect("P6", not told, f"notices of no hold: {told}")
