"""The next move of a promotion, from every state of the tags."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proctor.core.names import Revision
from proctor.core.promotion import (
    Create,
    Delete,
    Held,
    NextMove,
    Operation,
    OperationKind,
    Promotion,
    PromotionStatus,
    Reached,
    ReleaseTaken,
    plan,
    stays,
)

OLD, NEW, HERS = Revision("a" * 40), Revision("b" * 40), Revision("c" * 40)
STAGE, RELEASE = "refs/tags/prod", "refs/tags/prod-2"


def promotion(
    expected: Revision | None = OLD, release: str = "", cause: str = "verdict"
) -> Promotion:
    return Promotion("p", "h", "r", "prod", NEW, expected, release, cause, "gate", 0.0)


def op(kind: OperationKind, tag: str, revision: Revision) -> Operation:
    return Operation("o", "p", "h", kind, tag, revision, 0.0)


DELETED = op(OperationKind.DELETE, "prod", OLD)
CREATED = op(OperationKind.CREATE, "prod", NEW)
SEEN = replace(CREATED, event_id="e")
RELEASED = op(OperationKind.CREATE, "prod-2", NEW)


@pytest.mark.parametrize(
    ("refs", "wanted", "journal", "move"),
    [
        # without a release tag
        ({}, promotion(None), [], Create("prod", NEW)),
        ({STAGE: OLD}, promotion(), [], Delete("prod", OLD)),
        ({STAGE: OLD}, promotion(), [DELETED], Delete("prod", OLD)),
        ({}, promotion(), [DELETED], Create("prod", NEW)),
        ({STAGE: NEW}, promotion(), [DELETED, CREATED], Reached()),
        ({STAGE: NEW}, promotion(NEW), [], Reached()),
        ({}, promotion(None), [CREATED], Create("prod", NEW)),
        # a person was here
        ({STAGE: HERS}, promotion(), [], Held("prod", HERS, OLD)),
        ({STAGE: HERS}, promotion(None), [], Held("prod", HERS, None)),
        ({STAGE: HERS}, promotion(), [DELETED, CREATED], Held("prod", HERS, OLD)),
        ({}, promotion(), [], Held("prod", None, OLD)),
        # also one who put it just where we would
        ({STAGE: NEW}, promotion(), [], Held("prod", NEW, OLD)),
        ({STAGE: NEW}, promotion(None), [], Held("prod", NEW, None)),
        ({STAGE: NEW}, promotion(), [DELETED], Held("prod", NEW, OLD)),
        ({STAGE: NEW}, promotion(OLD, "prod-2"), [RELEASED], Held("prod", NEW, OLD)),
        ({STAGE: NEW}, promotion(cause="rollback"), [], Held("prod", NEW, OLD)),
        # or removed what we made, as its webhook told
        ({}, promotion(), [DELETED, SEEN], Held("prod", None, NEW)),
        ({}, promotion(None), [SEEN], Held("prod", None, NEW)),
        ({}, promotion(None, "prod-2"), [RELEASED, SEEN], Held("prod", None, NEW)),
        ({STAGE: NEW}, promotion(), [DELETED, SEEN], Reached()),
        # but where it is put back, it is where it was left
        ({STAGE: NEW}, promotion(HERS, cause="restore"), [], Reached()),
        # a create of ours, or another tag's removal, does not excuse a missing tag
        ({}, promotion(), [CREATED], Held("prod", None, OLD)),
        (
            {},
            promotion(),
            [op(OperationKind.DELETE, "staging", OLD)],
            Held("prod", None, OLD),
        ),
        # the release tag comes first
        ({STAGE: OLD}, promotion(OLD, "prod-2"), [], Create("prod-2", NEW)),
        ({STAGE: NEW}, promotion(OLD, "prod-2"), [CREATED], Create("prod-2", NEW)),
        ({STAGE: OLD, RELEASE: NEW}, promotion(OLD, "prod-2"), [RELEASED], Delete("prod", OLD)),
        ({STAGE: NEW, RELEASE: NEW}, promotion(OLD, "prod-2"), [RELEASED, CREATED], Reached()),
        ({STAGE: OLD, RELEASE: HERS}, promotion(OLD, "prod-2"), [], ReleaseTaken("prod-2")),
        ({STAGE: NEW, RELEASE: OLD}, promotion(OLD, "prod-2"), [CREATED], ReleaseTaken("prod-2")),
        # and is not made while a person's tag is in the way
        ({STAGE: HERS}, promotion(OLD, "prod-2"), [], Held("prod", HERS, OLD)),
        ({STAGE: HERS, RELEASE: OLD}, promotion(OLD, "prod-2"), [], Held("prod", HERS, OLD)),
        # other refs of these names are not the tags
        (
            {"refs/heads/prod": HERS, "prod": HERS, STAGE: OLD},
            promotion(),
            [],
            Delete("prod", OLD),
        ),
    ],
)
def test_the_next_move(
    refs: dict[str, Revision], wanted: Promotion, journal: list[Operation], move: NextMove
) -> None:
    assert plan(refs, wanted, journal) == move


@pytest.mark.parametrize("status", list(PromotionStatus))
def test_which_statuses_are_ends(status: PromotionStatus) -> None:
    open_ones = {PromotionStatus.PLANNED, PromotionStatus.MOVING}
    assert status.ended is (status not in open_ones)


def test_stays_follow_what_was_in_a_stage() -> None:
    a, b, c, old = (Revision(ch * 40) for ch in "abc0")

    def moved(revision: Revision, expected: Revision | None, cause: str = "verdict") -> Promotion:
        return Promotion(
            id=f"{cause}-{revision[:1]}",
            hub_id="r1",
            run_id=f"run-{revision[:1]}",
            stage="prod",
            revision=revision,
            expected=expected,
            release="",
            cause=cause,
            by="gate",
            created_at=0.0,
        )

    assert stays([]) == ((), ())
    done = [moved(a, old), moved(b, a), moved(c, b)]
    every, line = stays(done)
    assert [s.revision for s in every] == [s.revision for s in line] == [a, b, c]  # old: unproven
    back = [*done, moved(b, c, "rollback")]
    assert [s.revision for s in stays(back)[1]] == [a, b]
    assert [s.revision for s in stays(back)[0]] == [a, b, c, b]
    promoted = [*done, moved(a, c, "promote")]  # going somewhere by hand is not going back
    assert [s.revision for s in stays(promoted)[1]] == [a, b, c, a]
    by_hand = [*back, moved(a, c)]  # a person had put c there, and someone accepted it
    assert [s.revision for s in stays(by_hand)[1]] == [a, b, c, a]
    restored = [*done, moved(c, old, "restore")]  # a person had put the unproven one there
    assert [s.revision for s in stays(restored)[0]] == [a, b, c, c]
    assert [s.revision for s in stays(restored)[1]] == [a, b, c]
    # Nor does an act of ours that needs no verdict prove anything.
    assert stays([moved(old, None, "restore"), moved(old, None, "rollback")]) == ((), ())
    assert {s.run_id for s in stays(back)[0] if s.revision == b} == {"run-b"}
