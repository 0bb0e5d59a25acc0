"""Anything may happen at any time, one thing after the other; the promises hold in between.

The whole walk with the shipped fakes, driven by a state machine: https://hypothesis.readthedocs.io/en/latest/stateful.html
"""

from __future__ import annotations

import os
import random
import tempfile
from collections import Counter
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import cast

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.flow.conftest import LEASE, Mail, Walkthrough
from tests.flow.test_death_anywhere import Death, Fate, Mortal, MortalLedger

from proctor.core.errors import CheckFailed, Refused, TransientError
from proctor.core.gate import Result
from proctor.core.names import Revision, tag_ref
from proctor.core.promotion import Operation, OperationKind, PromotionStatus
from proctor.core.run import Step, StepKind
from proctor.ports.hub import Hub
from proctor.ports.ledger import Ledger

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("walk machine")]

STAGES = ("staging", "prod")
GOOD, WEAK = 0.9, 0.5


@pytest.fixture(autouse=True)
def memory_for_a_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of thousands of commits waits for the disk, which is not what is tested here."""
    if Path("/dev/shm").is_dir():
        monkeypatch.setattr(tempfile, "tempdir", "/dev/shm")


class Walking(RuleBasedStateMachine):
    """People, the world and Proctor take turns."""

    def new_walk(self, folder: Path) -> Walkthrough:
        """On a private SQLite, and a queue in memory."""
        return Walkthrough(folder)

    @initialize(seed=st.integers(0, 2**16))
    def begin(self, seed: int) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.walk = self.new_walk(Path(self.folder.name))
        self.chance = random.Random(seed)
        self.good: set[Revision] = set()
        self.pushed: list[Revision] = []
        self.lives, self.over = 0, False
        self.heard: set[str] = set()
        hear = self.walk.deliver

        def deliver(mail: Mail) -> Step | None:
            self.heard.add(mail.webhook_id)
            return hear(mail)

        vars(self.walk)["deliver"] = deliver
        # Where a person put a stage's tag or removed it, and the number of the move that did it.
        self.by_hand: dict[str, int] = {}

    def _tags(self) -> dict[str, Revision]:
        """The tags on the Hub now, without a call that a fault may strike."""
        tags: dict[str, Revision] = {}
        for move in self.walk.hub.moves:
            tag = move.ref.removeprefix("refs/tags/")
            if move.ref == tag_ref(tag) and move.new is not None:
                tags[tag] = move.new
            elif move.ref == tag_ref(tag):
                tags.pop(tag, None)
        return tags

    # People

    @rule(acc=st.sampled_from([GOOD, GOOD, WEAK, None]))
    def push(self, acc: float | None) -> None:
        revision = self.walk.push(CheckFailed("broken") if acc is None else acc)
        self.pushed.append(revision)
        if acc == GOOD:
            self.good.add(revision)

    @precondition(lambda self: self.pushed and self._tags())
    @rule(pick=st.integers(0, 99), stage=st.sampled_from(STAGES))
    def move_a_tag_by_hand(self, pick: int, stage: str) -> None:
        revision = self.pushed[pick % len(self.pushed)]
        if self._tags().get(stage) not in (None, revision):
            self._put(stage, revision)

    def _put(self, stage: str, revision: Revision) -> None:
        with self.walk.ledger.view() as view:
            head = view.stage_head(self.walk.repo.hub_id, stage)
        ours = any(
            (o.kind, o.revision) == (OperationKind.CREATE, revision) for o in self._journal(stage)
        )
        self.walk.hub.move_tag(self.walk.repo, stage, revision)
        if ours or (head is not None and head.revision == revision):
            # Where Proctor left it, or may just have put it: nobody can tell.
            self.by_hand.pop(stage, None)
        else:
            self.by_hand[stage] = len(self.walk.hub.moves)

    @rule(stage=st.sampled_from(STAGES))
    def remove_a_tag_by_hand(self, stage: str) -> None:
        self._remove(stage, begun=bool(self._journaled(stage)))

    @precondition(lambda self: self._tags())
    @rule(stage=st.sampled_from(STAGES))
    def a_person_removes_it_first(self, stage: str) -> None:
        """Between our journaling of a removal and the last look before it, which tells that the
        tag is gone: then only what an earlier try journaled may have been sent."""

        def first() -> None:
            now = self.walk.clock.now()
            if not self.over:
                self._remove(stage, begun=any(at < now for at in self._journaled(stage)))

        self.walk.hub.before_next("delete_tag", first)
        self.a_push_goes_its_way(GOOD)

    @precondition(lambda self: self._tags())
    @rule(stage=st.sampled_from(STAGES))
    def a_person_removes_it_while_the_hub_refuses(self, stage: str) -> None:
        self.the_hub_will_fail("delete_tag", "refused")
        self.a_push_goes_its_way(GOOD)
        self.remove_a_tag_by_hand(stage)

    def _remove(self, stage: str, *, begun: bool) -> None:
        if stage not in self._tags():
            return
        with self.walk.ledger.view() as view:
            head = view.stage_head(self.walk.repo.hub_id, stage)
        self.walk.hub.remove_tag(self.walk.repo, stage)
        if head is None or begun:
            self.by_hand.pop(stage, None)  # gone as Proctor left it, or may have: nobody can tell
        else:
            self.by_hand[stage] = len(self.walk.hub.moves)

    def _journaled(self, stage: str) -> list[float]:
        """When the moves of the stage's tag were journaled that are under way."""
        return [o.recorded_at for o in self._journal(stage)]

    def _journal(self, stage: str) -> list[Operation]:
        """The moves of the stage's tag that are under way, as journaled."""
        hub_id = self.walk.repo.hub_id
        with self.walk.ledger.view() as view:
            promotions = view.promotions(hub_id=hub_id, stage=stage, open_only=True)
            journal = [o for p in promotions for o in view.operations(p.id)]
        return [o for o in journal if o.tag == stage]

    @precondition(lambda self: len(self.pushed) > 1)
    @rule(pick=st.integers(0, 99), stage=st.sampled_from(STAGES))
    def a_person_will_be_quicker(self, pick: int, stage: str) -> None:
        """Between our look at the tags and our making one."""

        def quicker() -> None:
            with self.walk.ledger.view() as view:
                head = view.stage_head(self.walk.repo.hub_id, stage)
            revision = self.pushed[pick % len(self.pushed)]
            if not self.over and head is not None and revision != head.revision:
                self._put(stage, revision)

        self.walk.hub.before_next("create_tag", quicker)

    @rule(stage=st.sampled_from(STAGES), accept=st.booleans())
    def settle_a_hold(self, stage: str, accept: bool) -> None:
        with self.walk.ledger.view() as view:
            in_force = [h.id for h in view.holds() if h.stage == stage]
        with suppress(Refused):
            asked = self.walk.ask.release(self.walk.repo.name, stage, accept, "ana")
            with self.walk.ledger.view() as view:
                (settled, *_) = (h for h in view.holds(in_force=False) if h.id == in_force[-1])
            if self._tags().get(stage) == settled.found:
                self.by_hand.pop(stage, None)
            else:  # they moved it again since, and a look will find that
                self.by_hand[stage] = len(self.walk.hub.moves)
            for step in asked.wake:
                self.walk.queue.wake(step)

    @rule(stage=st.sampled_from(STAGES))
    def roll_back(self, stage: str) -> None:
        with suppress(Refused):
            asked = self.walk.ask.rollback(self.walk.repo.name, stage, None, "ana")
            for step in asked.wake:
                self.walk.queue.wake(step)

    # The world

    @precondition(lambda self: self.walk.mail)
    @rule(pick=st.integers(0, 99), lost=st.booleans())
    def a_webhook_arrives_or_not(self, pick: int, lost: bool) -> None:
        mail = self.walk.mail.pop(pick % len(self.walk.mail))
        if not lost:
            self.walk.deliver(mail)

    @precondition(lambda self: self.walk.sent)
    @rule(pick=st.integers(0, 99))
    def a_webhook_is_replayed(self, pick: int) -> None:
        self.walk.deliver(self.walk.sent[pick % len(self.walk.sent)])

    @rule()
    def the_broker_forgets(self) -> None:
        self.walk.queue.lose_all()

    @rule(
        call=st.sampled_from(["refs", "create_tag", "delete_tag", "describe", "find", "history"]),
        how=st.sampled_from(["lost on the way", "lost on the way back", "refused"]),
    )
    def the_hub_will_fail(self, call: str, how: str) -> None:
        error = TransientError(how)
        error.without_effect = how == "refused"
        self.walk.hub.fail_next(call, error, after_effect=how == "lost on the way back")

    # Proctor

    @rule(acc=st.sampled_from([GOOD, GOOD, GOOD, WEAK]))
    def a_push_goes_its_way(self, acc: float) -> None:
        """What happens most days."""
        self.push(acc)
        self.walk.deliver_all()
        self.walk.drain(shuffle=self.chance)
        self.walk.deliver_all()

    @rule(seconds=st.sampled_from([1.0, 20.0, LEASE + 1]))
    def time_passes(self, seconds: float) -> None:
        self.walk.clock.advance(seconds)
        self.walk.sweep.once()

    @rule()
    def heads_are_compared(self) -> None:
        with suppress(TransientError):
            self.walk.reconcile.once()

    @rule()
    def work(self) -> None:
        self.walk.drain(shuffle=self.chance)

    @rule(at=st.integers(1, 40))
    def work_until_death(self, at: int) -> None:
        self.lives += 1
        fate = Fate({at})
        mortal = self.walk.worker_named(
            f"mortal {self.lives}",
            ledger=cast("Ledger", MortalLedger(self.walk.ledger, fate)),
            hub=cast("Hub", Mortal(self.walk.hub, fate)),
        )
        try:
            self.walk.drain(mortal)
        except Death:
            tags = self._tags()
            for stage in [s for s in self.by_hand if s not in tags and self._journaled(s)]:
                del self.by_hand[stage]  # it died knowing that the removal was not its own

    @rule(
        call=st.sampled_from(["refs", "refs", "describe", "find", "history", "create_tag"]),
        seconds=st.sampled_from([0.0, LEASE + 1]),
        skip=st.integers(0, 3),
    )
    def stand_still_in_a_call(self, call: str, seconds: float, skip: int) -> None:
        """A worker that makes the call stands still in it. Others look at all that is to be done
        meanwhile, and take its step over if that is for longer than its lease. Then it goes on."""

        def stand_still() -> None:
            if self.over:
                return
            self.lives += 1
            self.walk.clock.advance(seconds)
            self.walk.sweep.once()
            for step in self.walk.open_steps():  # hints may come twice
                self.walk.queue.wake(step)
            self.walk.drain(self.walk.worker_named(f"heir {self.lives}"))

        for _ in range(skip):
            self.walk.hub.before_next(call, lambda: None)
        self.walk.hub.before_next(call, stand_still)

    # What always holds

    @invariant()
    def p2_nothing_twice(self) -> None:
        with self.walk.ledger.view() as view:
            told = [e for e in view.events(limit=10_000) if e.source == "webhook"]
            assert len(told) <= len(self.heard)
            runs = view.runs()
            asked = Counter((r.pipeline, r.revision, r.number) for r in runs)
            assert max(asked.values(), default=1) == 1
            for run in runs:
                verdicts = view.verdicts_of(run.hub_id, run.revision)
                assert len([v for v in verdicts if v.run_id == run.id]) <= 1
                tries = [view.attempts(StepKind.CHECK, c.id) for c in view.checks(run.id)]
                promotions = view.promotions(run_id=run.id)
                tries += [view.attempts(StepKind.PROMOTE, p.id) for p in promotions]
                for attempts in tries:
                    assert len([a for a in attempts if a.outcome == "done"]) <= 1
                    for one, other in pairwise(attempts):
                        assert one.ended_at is not None and one.ended_at <= other.started_at

    @invariant()
    def p4_tags_are_where_they_were_decided(self) -> None:
        """Each stage is where the ledger left it or where a promotion under way takes it; gone
        only between its two steps; or a person has it. Each move was journaled, and what is done
        has happened."""
        tags, moves = self._tags(), self.walk.hub.moves
        with self.walk.ledger.view() as view:
            promotions = view.promotions(hub_id=self.walk.repo.hub_id)
            journal = {
                (tag_ref(o.tag), o.revision if o.kind is OperationKind.CREATE else None)
                for p in promotions
                for o in view.operations(p.id)
            }
            heads = {h.stage: h.revision for h in view.stage_heads(self.walk.repo.hub_id)}
            # A hold that was settled comes back where nothing else can be done with the tag.
            held = {h.stage: h.found for h in view.holds()}
        for move in moves:
            assert move.by != "proctor" or (move.ref, move.new) in journal
        happened = {(m.ref, m.new) for m in moves}
        for promotion in promotions:
            if promotion.status is PromotionStatus.DONE:
                assert (tag_ref(promotion.stage), promotion.revision) in happened
        for stage in set(STAGES) - self.by_hand.keys():
            here = [p for p in promotions if p.stage == stage and not p.status.ended]
            allowed: set[Revision | None] = {heads.get(stage), held.get(stage, heads.get(stage))}
            for promotion in here:
                allowed.add(promotion.expected)  # from where a person put it, say
                if promotion.status is PromotionStatus.MOVING:
                    allowed |= {promotion.revision, None}
            assert tags.get(stage) in allowed, f"{stage} is at {tags.get(stage)}"

    @invariant()
    def p5_nothing_unproven_moves(self) -> None:
        with self.walk.ledger.view() as view:
            for move in self.walk.hub.moves:
                if move.by != "proctor" or move.new is None:
                    continue
                assert move.new in self.good
                verdicts = view.verdicts_of(move.hub_id, move.new)
                assert any(v.verdict.result is Result.PASS for v in verdicts)

    @invariant()
    def p6_a_person_outranks_the_machine(self) -> None:
        for stage, number in self.by_hand.items():
            since = self.walk.hub.moves[number:]
            ours = [m for m in since if m.by == "proctor" and m.ref == tag_ref(stage)]
            assert not ours, f"{stage} was put elsewhere by hand, then moved: {ours}"

    def teardown(self) -> None:
        """Whatever happened: a last good push, and it all ends right."""
        if not hasattr(self, "walk"):
            return
        self.over = True
        try:
            for _ in range(4):
                self.push(GOOD)
                self.walk.reconcile.once()
                self.walk.settle()
                with self.walk.ledger.view() as view:
                    holds = view.holds()
                if not holds:
                    break
                for hold in holds:
                    self.settle_a_hold(hold.stage, accept=True)
                self.walk.settle()
            last, tags = self.pushed[-1], self._tags()
            assert tags["staging"] == tags["prod"] == last
            assert last in {sha for tag, sha in tags.items() if tag.startswith("prod-")}
            assert "pending" not in self.walk.dispositions()
            self.p2_nothing_twice()
            self.p4_tags_are_where_they_were_decided()
            self.p5_nothing_unproven_moves()
        finally:
            self.walk.close()
            self.folder.cleanup()


EXAMPLES = int(os.environ.get("CHAOS_EXAMPLES", "0"))


def looking(examples: int) -> settings:
    """How long to look, without `make chaos`."""
    return settings(
        max_examples=EXAMPLES or examples,
        stateful_step_count=30,
        deadline=None,
        phases=[Phase.explicit, Phase.reuse, Phase.generate],  # shrinking would take minutes
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )


TestWalking = Walking.TestCase
TestWalking.settings = looking(40)
