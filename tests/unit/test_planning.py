"""What a look at a repo starts and overtakes, and what becomes of the events that asked for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from proctor.core.event import Disposition, Event, RefUpdate
from proctor.core.names import RepoType, Revision
from proctor.core.planning import SETTLE, Start, begins, fates, look, putting_off
from proctor.core.promotion import Operation, OperationKind
from proctor.core.rule import Match, Pipeline
from proctor.core.run import Run, RunStatus

A, B, C = (Revision(letter * 40) for letter in "abc")
MAIN, DEV = "refs/heads/main", "refs/heads/dev"
P = Pipeline("p", Match("acme/*"), (), (), ())
Q = Pipeline("q", Match("acme/*", ref=DEV), (), (), ())


def run(
    id: str,
    revision: Revision,
    status: RunStatus,
    *,
    number: int = 1,
    pipeline: str = "p",
    ref: str = MAIN,
) -> Run:
    return Run(
        id, "h", RepoType.MODEL, "acme/bot", revision, ref, pipeline, 0.0, 0.0, status, "", number
    )


def event(id: str, *updates: RefUpdate, scope: str = "repo.content") -> Event:
    return Event(id, id, "webhook", 0.0, "update", scope, RepoType.MODEL, "h", "acme/bot", updates)


def push(id: str, new: Revision | None, ref: str = MAIN, old: Revision | None = None) -> Event:
    return event(id, RefUpdate(ref, old, new))


# --- look


def test_a_head_that_no_run_covers_starts_one() -> None:
    seen = look([P], {MAIN: A}, [])
    assert seen.starts == (Start(P, A, 1, None),)
    assert seen.overtaken == ()
    assert seen.standing == {}


@pytest.mark.parametrize("status", [s for s in RunStatus if s is not RunStatus.SUPERSEDED])
def test_any_run_covers_its_head_whatever_came_of_it(status: RunStatus) -> None:
    old = run("1", A, status)
    seen = look([P], {MAIN: A}, [old])
    assert seen.starts == ()
    assert seen.standing == {"p": old}
    assert seen.overtaken == ()


def test_a_head_whose_newest_run_was_superseded_starts_again() -> None:
    first = run("1", A, RunStatus.HELD)
    second = run("2", A, RunStatus.SUPERSEDED, number=2)
    for order in ([second, first], [first, second]):
        assert look([P], {MAIN: A}, order).starts == (Start(P, A, 3, "2"),)
    third = run("3", A, RunStatus.PROMOTED, number=3)
    assert look([P], {MAIN: A}, [third, second, first]).starts == ()


@pytest.mark.parametrize("status", list(RunStatus))
def test_open_runs_of_other_revisions_are_overtaken(status: RunStatus) -> None:
    old = run("1", A, status)
    seen = look([P], {MAIN: B}, [old])
    assert seen.overtaken == (() if status.ended else ((old, B),))
    assert [s.revision for s in seen.starts] == [B]


def test_runs_of_other_refs_and_pipelines_are_left_alone() -> None:
    others = [
        run("1", A, RunStatus.CHECKING, ref=DEV),
        run("2", A, RunStatus.CHECKING, pipeline="q"),
    ]
    assert look([P], {MAIN: B}, others).overtaken == ()
    assert look([P], {MAIN: A}, others[1:]).starts == (Start(P, A, 1, None),)


def test_a_ref_that_does_not_exist_starts_and_overtakes_nothing() -> None:
    seen = look([P, Q], {"refs/heads/other": A}, [run("1", A, RunStatus.CHECKING)])
    assert (seen.starts, seen.overtaken, seen.standing) == ((), (), {})


def test_each_pipeline_looks_at_its_own_ref() -> None:
    seen = look([P, Q], {MAIN: A, DEV: B}, [])
    assert [(s.pipeline.name, s.revision) for s in seen.starts] == [("p", A), ("q", B)]


# --- begins


def at(begins_at: float, status: RunStatus) -> Run:
    return replace(run("1", A, status), begins_at=begins_at)


def after(runs: Sequence[Run], now: float) -> float:
    """When the next run begins after these."""
    return begins(next(iter(putting_off(runs, now)), None), now)


def test_the_first_push_begins_at_once() -> None:
    assert after([], 1000.0) == 1000.0


@pytest.mark.parametrize("status", list(RunStatus))
def test_only_a_run_that_was_overtaken_puts_the_next_off(status: RunStatus) -> None:
    unsettled = not status.ended or status is RunStatus.SUPERSEDED
    assert after([at(990.0, status)], 1000.0) == (990.0 + SETTLE if unsettled else 1000.0)


def test_after_a_while_nothing_puts_off() -> None:
    assert after([at(1000.0 - SETTLE, RunStatus.CHECKING)], 1000.0) == 1000.0
    assert after([at(1000.0 - SETTLE + 1, RunStatus.CHECKING)], 1000.0) == 1001.0


def test_a_run_that_could_not_begin_yet_puts_nothing_off_further() -> None:
    before = [at(1050.0, RunStatus.PLANNED), at(990.0, RunStatus.SUPERSEDED)]
    assert after(before, 1000.0) == 1050.0
    assert after(before[::-1], 1000.0) == 1050.0


def test_pushes_without_end_are_examined_once_in_a_while() -> None:
    runs: list[Run] = []
    for second in range(600):
        runs = [replace(r, status=RunStatus.SUPERSEDED) for r in runs]
        runs.append(at(after(runs, float(second)), RunStatus.PLANNED))
    began = sorted({r.begins_at for r in runs})
    assert began == [n * SETTLE for n in range(11)]


# --- fates

STARTED = {"p": run("1", A, RunStatus.PLANNED)}
STANDING = {"p": run("1", A, RunStatus.HELD)}


def told(*events: Event, started: bool = False, standing: bool = False) -> list[Disposition]:
    found = fates(
        events, [P], {MAIN: A}, STARTED if started else {}, STANDING if standing else {}, []
    )
    assert [f.event for f in found] == list(events)
    assert all(f.reason for f in found)
    return [f.disposition for f in found]


def test_the_newest_event_ran_and_the_others_are_coalesced_into_it() -> None:
    found = fates([push("1", A), push("2", A), push("3", A)], [P], {MAIN: A}, STARTED, {}, [])
    assert [f.disposition for f in found] == [
        Disposition.COALESCED,
        Disposition.COALESCED,
        Disposition.RAN,
    ]
    assert [f.run_id for f in found] == ["1", "1", "1"]
    assert found[0].reason == "event 3 stands for it"
    assert found[2].reason == "started run 1 (p)"


def test_a_push_that_is_no_longer_the_head_is_superseded() -> None:
    assert told(push("1", B), push("2", A), started=True) == [
        Disposition.SUPERSEDED,
        Disposition.RAN,
    ]
    (gone,) = fates([push("1", B)], [P], {}, {}, {}, [])
    assert gone.disposition is Disposition.SUPERSEDED
    assert gone.reason == "the head was gone by the time we looked"


def test_a_head_that_stands_is_unchanged_and_says_by_which_run() -> None:
    (fate,) = fates([push("1", A)], [P], {MAIN: A}, {}, STANDING, [])
    assert fate.disposition is Disposition.UNCHANGED
    assert fate.run_id == "1"
    assert fate.reason == "aaaaaaaa is already covered by run 1 (held)"


def test_an_event_without_refs_still_stands_for_the_look() -> None:
    assert told(event("1", scope="repo"), started=True) == [Disposition.RAN]
    assert told(event("1", scope="repo.config"), standing=True) == [Disposition.UNCHANGED]
    assert told(event("1", scope="repo")) == [Disposition.FILTERED]


def test_what_no_rule_covers_is_filtered() -> None:
    (fate,) = fates([push("1", A)], [], {MAIN: A}, {}, {}, [])
    assert fate.disposition is Disposition.FILTERED
    assert fate.reason == "no pipeline matches model acme/bot"
    (fate,) = fates([push("1", A, DEV)], [P], {MAIN: A}, STARTED, {}, [])
    assert fate.disposition is Disposition.FILTERED
    assert DEV in fate.reason


@pytest.mark.parametrize("scope", ["discussion", "discussion.comment"])
def test_talk_starts_nothing(scope: str) -> None:
    assert told(event("1", scope=scope), started=True) == [Disposition.FILTERED]


def test_a_deleted_branch_starts_nothing() -> None:
    (fate,) = fates([push("1", None, old=A)], [P], {}, {}, {}, [])
    assert fate.disposition is Disposition.FILTERED


CREATED = Operation("c", "p", "h", OperationKind.CREATE, "staging", A, 0.0)
DELETED = Operation("d", "p", "h", OperationKind.DELETE, "staging", B, 0.0)
STAGING = "refs/tags/staging"


@pytest.mark.parametrize(
    ("update", "operation"),
    [
        (RefUpdate(STAGING, None, A), CREATED),
        (RefUpdate(STAGING, B, None), DELETED),
        (RefUpdate(STAGING, None, None), DELETED),
    ],
)
def test_our_own_write_that_comes_back_is_an_echo(update: RefUpdate, operation: Operation) -> None:
    (fate,) = fates([event("1", update)], [P], {MAIN: A}, STARTED, {}, [CREATED, DELETED])
    assert fate.disposition is Disposition.ECHO
    assert fate.operations == (operation,)


@pytest.mark.parametrize(
    "updates",
    [
        (RefUpdate(STAGING, None, B),),  # another revision
        (RefUpdate(STAGING, A, None),),  # removed from elsewhere
        (RefUpdate("refs/tags/prod", None, A),),  # another tag
        (RefUpdate("refs/heads/staging", None, A),),  # a branch of that name
        (RefUpdate(STAGING, None, A), RefUpdate(MAIN, B, A)),  # more than we did
        (),
    ],
)
def test_what_a_person_did_is_no_echo(updates: tuple[RefUpdate, ...]) -> None:
    (fate,) = fates([event("1", *updates)], [P], {MAIN: A}, STARTED, {}, [CREATED, DELETED])
    assert fate.disposition is not Disposition.ECHO


def test_one_write_explains_one_event() -> None:
    twice = [push("1", A, STAGING), push("2", A, STAGING)]
    found = fates(twice, [P], {MAIN: A}, {}, {}, [CREATED])
    assert sorted(f.disposition for f in found) == [Disposition.ECHO, Disposition.FILTERED]
    again = replace(CREATED, id="c2")
    found = fates(twice, [P], {MAIN: A}, {}, {}, [CREATED, again])
    assert [f.disposition for f in found] == [Disposition.ECHO] * 2
    assert {o.id for f in found for o in f.operations} == {"c", "c2"}


@pytest.mark.parametrize(
    "updates",
    [
        (RefUpdate(STAGING, B, None), RefUpdate(STAGING, None, A)),
        (RefUpdate(STAGING, B, A),),
    ],
)
def test_writes_that_come_back_in_one_event(updates: tuple[RefUpdate, ...]) -> None:
    (fate,) = fates([event("1", *updates)], [P], {MAIN: A}, STARTED, {}, [CREATED, DELETED])
    assert fate.disposition is Disposition.ECHO
    assert set(fate.operations) == {CREATED, DELETED}


@pytest.mark.parametrize(
    ("theirs", "ours", "operation"),
    [
        (RefUpdate(STAGING, B, C), RefUpdate(STAGING, B, None), DELETED),
        (RefUpdate(STAGING, C, A), RefUpdate(STAGING, None, A), CREATED),
    ],
)
def test_a_move_of_which_we_meant_one_half_is_a_persons(
    theirs: RefUpdate, ours: RefUpdate, operation: Operation
) -> None:
    """They put it back, and our own write followed: its webhook comes last, or first."""
    for told in ([theirs, ours], [ours, theirs]):
        events = [event(str(n), update) for n, update in enumerate(told)]
        found = fates(events, [P], {MAIN: A}, {}, {}, [operation])
        by_update = {f.event.updates: (f.disposition, f.operations) for f in found}
        assert by_update[(theirs,)] == (Disposition.FILTERED, ())
        assert by_update[(ours,)] == (Disposition.ECHO, (operation,))


def test_a_push_that_comes_with_our_own_write_starts_its_run_and_closes_the_write() -> None:
    both = event("1", RefUpdate(STAGING, None, A), RefUpdate(MAIN, B, A))
    (fate,) = fates([both], [P], {MAIN: A}, STARTED, {}, [CREATED])
    assert (fate.disposition, fate.operations) == (Disposition.RAN, (CREATED,))


@pytest.mark.parametrize(
    ("stands", "told", "ours"), [(A, C, True), (B, C, False), (None, C, False), (A, B, False)]
)
def test_a_tag_told_by_its_own_object_is_ours_where_it_stands_as_we_put_it(
    stands: Revision | None, told: Revision, ours: bool
) -> None:
    refs = {MAIN: B, **({STAGING: stands} if stands else {})}
    (fate,) = fates([push("1", told, STAGING)], [P], refs, {}, {}, [CREATED])
    assert (fate.disposition is Disposition.ECHO) is ours


def test_a_tag_at_an_older_push_is_not_told_by_an_object_of_its_own() -> None:
    """A person moved it on, and it stands as we put it since."""
    moved = event("1", RefUpdate(STAGING, A, C))
    refs = {MAIN: B, STAGING: A}
    (fate,) = fates([moved], [P], refs, {}, {}, [CREATED], [C])
    assert (fate.disposition, fate.operations) == (Disposition.FILTERED, ())


def test_an_echo_is_known_even_when_no_pipeline_matches_any_more() -> None:
    (fate,) = fates([push("1", A, STAGING)], [], {MAIN: A}, {}, {}, [CREATED])
    assert fate.disposition is Disposition.ECHO
