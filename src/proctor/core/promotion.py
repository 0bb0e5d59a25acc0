"""Promotions: pointing a stage at a revision, one operation at a time, from any state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeAlias

from proctor.core.names import Revision, tag_ref


class PromotionStatus(StrEnum):
    """Where a promotion is. DONE, HELD, FAILED and CANCELLED are ends."""

    PLANNED = "planned"
    MOVING = "moving"
    DONE = "done"
    HELD = "held"  # a person's tag is in the way
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """Whether nothing more will be done for it."""
        return self not in (PromotionStatus.PLANNED, PromotionStatus.MOVING)


@dataclass(frozen=True, slots=True)
class Promotion:
    """The recorded act of pointing a stage at a revision.

    `expected` is where the stage's tag pointed, as far as we know, when this was decided (None:
    nowhere). `release` is the immutable tag made first ("" for stages without). `cause` is
    "verdict", "promote", "rollback" or "restore"; `by` is who asked for it.
    """

    id: str
    hub_id: str
    run_id: str
    stage: str
    revision: Revision
    expected: Revision | None
    release: str
    cause: str
    by: str
    created_at: float
    status: PromotionStatus = PromotionStatus.PLANNED
    reason: str = ""
    ended_at: float | None = None


class OperationKind(StrEnum):
    """What the Hub's API lets us do to a tag."""

    CREATE = "create"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Operation:
    """One call that changes a tag, journaled before it is made, and taken off the record where it
    certainly was not: an operation on record may have been made.

    `revision` is where CREATE points the tag, or where DELETE expects it to point. It doubles as
    the expected effect by which the webhook that comes back is recognised as our own echo.
    """

    id: str
    promotion_id: str
    hub_id: str
    kind: OperationKind
    tag: str
    revision: Revision
    recorded_at: float
    observed_at: float | None = None
    event_id: str | None = None


@dataclass(frozen=True, slots=True)
class Create:
    """Make `tag` point at `revision`."""

    tag: str
    revision: Revision


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove `tag`, which points at `revision` (as just observed)."""

    tag: str
    revision: Revision


@dataclass(frozen=True, slots=True)
class Reached:
    """The tags are as wanted: nothing to do."""


@dataclass(frozen=True, slots=True)
class ReleaseTaken:
    """The release tag exists and points elsewhere: another number is needed."""

    tag: str


@dataclass(frozen=True, slots=True)
class Held:
    """The stage's tag is not where we left it: a person moved it. `found` is where it is."""

    tag: str
    found: Revision | None
    expected: Revision | None


NextMove: TypeAlias = Create | Delete | Reached | ReleaseTaken | Held


PROVING: Final = ("verdict", "promote")
"""The causes of promotions that need a passing verdict for exactly their revision."""


@dataclass(frozen=True, slots=True)
class Stay:
    """A revision that was in a stage, and the run whose verdict brought it there."""

    revision: Revision
    run_id: str


def stays(done: Sequence[Promotion]) -> tuple[tuple[Stay, ...], tuple[Stay, ...]]:
    """From the DONE promotions of one stage, oldest first: every stay there was, and the line that
    leads to the present one. A rollback goes back along the line instead of making it longer, so
    rolling back twice leads two revisions back.

    Only a revision that a verdict brought into this stage makes a stay. What a person put there by
    hand was never proven, whoever accepted it; nor was what was there before us.
    """
    proven: dict[Revision, Stay] = {}
    every: list[Stay] = []
    line: list[Stay] = []
    for promotion in done:
        before = proven.get(promotion.expected) if promotion.expected else None
        if before is not None and (not line or line[-1].revision != before.revision):
            every.append(before)
            line.append(before)
        if promotion.cause in PROVING:
            proven[promotion.revision] = Stay(promotion.revision, promotion.run_id)
        stay = proven.get(promotion.revision)
        if stay is None:
            continue
        every.append(stay)
        places = [n for n, s in enumerate(line) if s.revision == stay.revision]
        if promotion.cause not in PROVING and places:
            del line[places[-1] + 1 :]
        elif not line or line[-1].revision != stay.revision:
            line.append(stay)
    return tuple(every), tuple(line)


def plan(
    observed: Mapping[str, Revision], wanted: Promotion, journal: Sequence[Operation]
) -> NextMove:
    """The one next move from the observed refs (full ref name -> sha) towards `wanted`.

    `journal` holds the operations of this promotion that were made or may have been, in order. The
    plan reaches its goal from any state a crash can leave behind and then says Reached for ever.
    It never removes a tag that points anywhere but where we left it, and makes no release tag
    while a person's tag is in the way.
    """
    move = _stage_move(observed, wanted, journal)
    if wanted.release and not isinstance(move, Held):
        release = observed.get(tag_ref(wanted.release))
        if release is None:
            return Create(wanted.release, wanted.revision)
        if release != wanted.revision:
            return ReleaseTaken(wanted.release)
    return move


def _stage_move(
    observed: Mapping[str, Revision], wanted: Promotion, journal: Sequence[Operation]
) -> Create | Delete | Reached | Held:
    found = observed.get(tag_ref(wanted.stage))
    made = [o for o in journal if (o.kind, o.tag) == (OperationKind.CREATE, wanted.stage)]
    removed = [o for o in journal if (o.kind, o.tag) == (OperationKind.DELETE, wanted.stage)]
    if found == wanted.revision:
        left_there = wanted.cause == "restore" or wanted.expected == found
        if made or left_there:
            return Reached()
        # A person put it there, perhaps to stay: that we meant to as well is no leave to go on.
        return Held(wanted.stage, found, wanted.expected)
    if found is None:
        if any(o.observed_at is not None or o.event_id for o in made):
            # It was there, as the refs showed or its webhook told: a person took it away.
            return Held(wanted.stage, None, wanted.revision)
        if wanted.expected is None or removed:
            return Create(wanted.stage, wanted.revision)
        return Held(wanted.stage, None, wanted.expected)
    # One that was seen gone after we removed it was put back by a person. A webhook of the removal
    # proves no more than the refs.
    if found == wanted.expected and not any(o.observed_at is not None for o in removed):
        return Delete(wanted.stage, found)
    return Held(wanted.stage, found, wanted.expected)
