"""A promotion converges from anywhere a crash can leave it, and yields to a person (P4, P6)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from proctor.core.names import Revision, tag_ref
from proctor.core.promotion import (
    Create,
    Delete,
    Held,
    NextMove,
    Operation,
    OperationKind,
    Promotion,
    Reached,
    ReleaseTaken,
    plan,
)

OLD, NEW, HERS = Revision("a" * 40), Revision("b" * 40), Revision("c" * 40)
MOVES_NEEDED = 3  # a release tag, the removal of the old tag, the new tag

APPLIED, LOST, CRASHED = "applied", "lost", "crashed before the call"
answers = st.lists(st.sampled_from([APPLIED, LOST, CRASHED]), max_size=10)


@dataclass
class World:
    """The tags, the promotion and its journal; and a machine that dies at any point."""

    wanted: Promotion
    refs: dict[str, Revision]
    journal: list[Operation] = field(default_factory=list)

    def look(self) -> NextMove:
        return plan(self.refs, self.wanted, self.journal)

    def record(self, move: Create | Delete) -> None:
        kind = OperationKind.CREATE if isinstance(move, Create) else OperationKind.DELETE
        self.journal.append(
            Operation(str(len(self.journal)), "p", "h", kind, move.tag, move.revision, 0.0)
        )

    def apply(self, move: Create | Delete) -> None:
        """As the Hub does: a tag is never moved by creating it, and removed wherever it is."""
        ref = tag_ref(move.tag)
        if isinstance(move, Create):
            assert ref not in self.refs, "planned to create what exists"
            self.refs[ref] = move.revision
        else:
            assert move.tag == self.wanted.stage, "only the stage's own tag is ever removed"
            assert self.refs[ref] == self.wanted.expected, "removed a tag that is not ours"
            del self.refs[ref]

    def step(self, answer: str) -> NextMove:
        move = self.look()
        if isinstance(move, ReleaseTaken):
            stage, _, number = move.tag.rpartition("-")
            self.wanted = replace(self.wanted, release=f"{stage}-{int(number) + 1}")
        elif isinstance(move, Create | Delete):
            self.record(move)
            if answer == APPLIED:
                self.apply(move)
        return move

    def run(self, answers: list[str]) -> NextMove:
        """Go on, answered so; from then on reliably. Returns where it ended."""
        taken = sum(1 for ref in self.refs if ref.startswith("refs/tags/prod-"))
        for answer in answers + [APPLIED] * (MOVES_NEEDED + taken + 1):
            move = self.step(answer)
            if isinstance(move, Reached | Held):
                return move
        raise AssertionError(f"does not converge: {self}")


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Any state that can be come upon: any part of the operations recorded, done or lost."""
    expected = draw(st.sampled_from([None, OLD, NEW]))
    release = draw(st.sampled_from(["", "prod-1"]))
    wanted = Promotion("p", "h", "r", "prod", NEW, expected, release, "verdict", "gate", 0.0)
    refs: dict[str, Revision] = {"refs/heads/main": NEW, "refs/tags/staging": OLD}
    if expected is not None:
        refs["refs/tags/prod"] = expected
    for number in draw(st.sets(st.integers(1, 4))) if release else ():
        refs[f"refs/tags/prod-{number}"] = draw(st.sampled_from([NEW, OLD, HERS]))
    world = World(wanted, refs)
    for answer in draw(answers):
        world.step(answer)
    return world


@given(worlds(), answers)
@settings(max_examples=300, deadline=None)
def test_from_any_state_the_tags_become_what_was_decided(world: World, answers: list[str]) -> None:
    others = {r: s for r, s in world.refs.items() if not r.startswith("refs/tags/prod")}
    releases = {r: s for r, s in world.refs.items() if r.startswith("refs/tags/prod-")}
    assert world.run(answers) == Reached()
    assert world.refs["refs/tags/prod"] == NEW
    if world.wanted.release:
        assert world.refs[tag_ref(world.wanted.release)] == NEW
    # nothing else was touched, and no release tag that was there has moved
    assert {r: s for r, s in world.refs.items() if not r.startswith("refs/tags/prod")} == others
    assert releases.items() <= world.refs.items()
    for _ in range(3):
        assert world.step(APPLIED) == Reached()


@given(worlds(), answers)
@settings(max_examples=100, deadline=None)
def test_a_whole_journal_without_effect_changes_nothing(world: World, answers: list[str]) -> None:
    """Every call was recorded and none was made: the plan stays at its first move."""
    first, before = world.look(), dict(world.refs)
    for _ in answers:
        if isinstance(first, Create | Delete):
            assert world.step(CRASHED) == first
    assert world.refs == before


@given(worlds(), answers)
@settings(max_examples=300, deadline=None)
def test_a_tag_that_a_person_moved_is_never_touched(world: World, later: list[str]) -> None:
    world.refs["refs/tags/prod"] = HERS
    before = dict(world.refs)
    for answer in [*later, APPLIED]:
        assert world.step(answer) == Held("prod", HERS, world.wanted.expected)
    assert world.refs == before


@given(st.sampled_from([None, OLD]), st.sampled_from(["", "prod-1"]), answers)
@settings(max_examples=100, deadline=None)
def test_a_tag_that_a_person_put_where_it_is_to_be_is_theirs(
    expected: Revision | None, release: str, later: list[str]
) -> None:
    """Before we recorded that we would put it there ourselves; after that nobody can tell."""
    wanted = Promotion("p", "h", "r", "prod", NEW, expected, release, "verdict", "gate", 0.0)
    world = World(wanted, {"refs/heads/main": NEW, "refs/tags/prod": NEW})
    before = dict(world.refs)
    for answer in [*later, APPLIED]:
        assert world.step(answer) == Held("prod", NEW, expected)
    assert world.refs == before


@given(st.sampled_from([OLD, NEW]), st.sampled_from(["", "prod-1"]), answers)
@settings(max_examples=100, deadline=None)
def test_a_tag_that_a_person_removed_stays_removed(
    expected: Revision, release: str, later: list[str]
) -> None:
    """Before we recorded that we would remove it ourselves; after that nobody can tell."""
    wanted = Promotion("p", "h", "r", "prod", NEW, expected, release, "verdict", "gate", 0.0)
    world = World(wanted, {"refs/heads/main": NEW})
    for answer in [*later, APPLIED]:
        assert world.step(answer) == Held("prod", None, expected)
    assert world.refs == {"refs/heads/main": NEW}
