"""Notices arrive at least once, with a stable key; a channel that fails blocks nobody."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from itertools import islice
from typing import TYPE_CHECKING

import pytest

from proctor.core.errors import CheckFailed, PermanentError, TransientError
from proctor.core.notice import Notice, Severity
from proctor.core.run import RunStatus, Step, StepKind
from proctor.flow.attempt import SENDER_AGAIN
from proctor.flow.attendance import failing
from proctor.flow.outbox import tell
from proctor.ports.notifier import Notifier
from proctor.testing import FakeNotifier

if TYPE_CHECKING:
    from tests.flow.conftest import Walkthrough


class Death(BaseException):
    """kill -9."""


def test_a_notice_is_sent_again_with_the_same_key_until_it_arrives(walk: Walkthrough) -> None:
    team = walk.channels["team"]
    team.fail_next(TransientError("timeout"), after_effect=True)
    team.fail_next(TransientError("503"), times=2)
    walk.pushed_and_settled(0.1)
    assert len(team.sent) == 2  # once for the lost answer
    assert len(team.keys()) == 1
    with walk.ledger.view() as view:
        (row,) = view.notices()
    assert row.state.value == "sent"


def test_the_first_commit_of_a_repo_alarms_nobody(walk: Walkthrough) -> None:
    first = walk.hub.commit(walk.repo, {".gitattributes": b"*.bin filter=lfs", "README.md": b""})
    walk.finds(first, CheckFailed("the revision has no weights"))
    walk.settle()
    (said,) = walk.channels["team"].sent
    assert (said.kind, said.severity) == ("run.held", Severity.INFO)
    assert said.title.endswith("holds nothing to measure yet")
    walk.pushed_and_settled(0.1)
    assert walk.channels["team"].sent[-1].severity is Severity.WARNING


def test_a_channel_that_fails_blocks_nobody(walk: Walkthrough) -> None:
    walk.channels["team"].fail_next(PermanentError("404: no such hook hf_secret"), times=1)
    good = walk.pushed_and_settled()
    assert walk.run(good).status is RunStatus.PROMOTED
    assert walk.told() == ["promotion.done"]
    with walk.ledger.view() as view:
        states = {n.state.value: n.error for n in view.notices()}
    assert states == {"sent": None, "failed": "404: no such hook ***"}
    (said,) = walk.channels["log"].sent
    assert said.kind == "step.gave_up"
    assert said.title == f'Gave up: announce of "acme/bot@{good[:8]} is in staging" to team'
    assert "404: no such hook ***" in said.text


def test_a_log_that_fails_too_is_left_alone(walk: Walkthrough) -> None:
    walk.channels["team"].fail_next(PermanentError("404"))
    walk.channels["log"].fail_next(PermanentError("disk full"))
    walk.pushed_and_settled(0.1)
    with walk.ledger.view() as view:
        assert [n.error for n in view.notices()] == ["disk full", "404"]


def test_a_worker_that_dies_after_sending_sends_again(walk: Walkthrough) -> None:
    walk.push(0.1)
    step = walk.until(StepKind.ANNOUNCE)
    team = walk.channels["team"]

    class Dying:
        def send(self, notice: object) -> None:
            team.send(notice)  # type: ignore[arg-type] # passed on as it came
            raise Death

    with pytest.raises(Death):
        walk.worker_named("w2", send=lambda name: Dying()).perform(step.id)
    walk.settle()
    assert len(team.sent) == 2
    assert len(team.keys()) == 1


def test_a_notice_asked_for_again_after_it_failed_is_not_marked_as_sent(
    walk: Walkthrough,
) -> None:
    walk.channels["team"].fail_next(PermanentError("404"))
    walk.pushed_and_settled(0.1)
    with walk.ledger.transaction() as tx:
        row = tx.notices()[-1]
        step = Step("again", StepKind.ANNOUNCE, row.id, "io", walk.clock.now())
        walk.queue.wake(tx.add_step(step))
    walk.settle()
    with walk.ledger.view() as view:
        assert view.notices()[-1] == row
    assert walk.told() == []


class Hanging:
    """A channel whose peer takes a connection and says nothing."""

    def __init__(self) -> None:
        self.taken, self.answers = threading.Semaphore(0), threading.Event()
        self.sending = 0

    def send(self, notice: Notice) -> None:
        """Wait for an answer that never comes."""
        self.sending += 1
        self.taken.release()
        assert self.answers.wait(120)
        self.sending -= 1
        raise TransientError("no answer within 10 s")


def test_a_channel_that_hangs_holds_up_one_thread_and_nobody_else(walk: Walkthrough) -> None:
    hanging = Hanging()
    with walk.ledger.transaction() as tx:
        for number in range(8):
            tell(tx, walk.clock, _notice(f"hangs:{number}"), ("team",))
        tell(tx, walk.clock, _notice("fine:1"), ("other",))
    sha = walk.push()
    walk.deliver_all()
    hints = [step.id for step in walk.open_steps()]  # the hanging channel's come first
    channels: dict[str, Notifier] = {**walk.channels, "team": hanging}
    worker = walk.worker_named("w4", send=lambda name: channels[name])
    with ThreadPoolExecutor(4) as threads:
        tried = [threads.submit(worker.perform, hint) for hint in hints]
        try:
            assert hanging.taken.acquire(timeout=60)
            for each in islice(as_completed(tried, timeout=60), len(tried) - 1):
                each.result()
            assert (hanging.sending, [each.done() for each in tried].count(False)) == (1, 1)
            assert walk.told("other") == ["test"]
            assert walk.run(sha).status is RunStatus.PLANNED  # its look was done meanwhile
        finally:
            hanging.answers.set()
    walk.settle()
    assert len(walk.channels["team"].keys()) == 8 + 2
    assert walk.run(sha).status is RunStatus.PROMOTED


def test_many_channels_that_hang_leave_threads_for_all_other_work(walk: Walkthrough) -> None:
    names = [f"hangs-{number}" for number in range(6)]
    hanging = Hanging()
    channels: dict[str, Notifier] = {**walk.channels, **dict.fromkeys(names, hanging)}
    with walk.ledger.transaction() as tx:
        for name in names:
            tell(tx, walk.clock, _notice(f"to:{name}"), (name,))
    sha = walk.push()
    worker = walk.worker_named("w4", send=channels.__getitem__)
    with ThreadPoolExecutor(4) as threads:
        tried = [threads.submit(worker.perform, step.id) for step in walk.open_steps()]
        try:
            for _ in range(2):
                assert hanging.taken.acquire(timeout=60)
            others = islice(as_completed(tried, timeout=60), 4)
            assert all(each.result() for each in others)
            assert hanging.sending == 2
            walk.deliver_all()
            while hints := walk.queue.take():  # the whole walk, meanwhile
                for each in [threads.submit(worker.perform, step.id) for step in hints]:
                    each.result(60)
            assert walk.run(sha).status is RunStatus.PROMOTED
            assert hanging.sending == 2
        finally:
            hanging.answers.set()
    walk.channels |= {name: FakeNotifier() for name in names}
    walk.settle()
    assert [walk.told(name) for name in names] == [["test"]] * 6
    assert len(walk.told()) == 2  # staging and prod


def test_a_notice_that_found_no_thread_is_put_off_and_was_not_tried(walk: Walkthrough) -> None:
    with walk.ledger.transaction() as tx:
        (step,) = tell(tx, walk.clock, _notice("n:1"), ("team",))
    walk.channels["team"].fail_next(TransientError("503"), times=4)
    senders = walk.worker.senders
    delays = list[float]()
    for _ in range(4):
        assert senders.acquire(blocking=False)
        assert senders.acquire(blocking=False)
        assert walk.worker.perform(step.id)  # claimed, and given back
        (put_off,) = walk.open_steps()
        assert (put_off.attempts, put_off.due_at) == (0, walk.clock.now() + SENDER_AGAIN)
        senders.release(2)
        walk.clock.advance(SENDER_AGAIN)
        assert walk.worker.perform(step.id)  # tried, and refused
        (refused,) = walk.open_steps()
        delays.append(refused.due_at - walk.clock.now())
        walk.clock.advance(delays[-1])
    assert delays[-1] > 1  # as after four tries in a row: after the first it is a second at most
    walk.settle()
    assert walk.told() == ["test"]


def test_a_thread_that_is_free_in_a_moment_is_waited_for(walk: Walkthrough) -> None:
    with walk.ledger.transaction() as tx:
        (step,) = tell(tx, walk.clock, _notice("n:1"), ("team",))
    senders = walk.worker.senders
    assert senders.acquire(blocking=False)
    assert senders.acquire(blocking=False)
    threading.Timer(0.02, senders.release).start()
    assert walk.worker.perform(step.id)
    senders.release()
    assert walk.told() == ["test"]


def test_a_channel_that_fails_is_told_with_its_error_until_it_works(
    walk: Walkthrough, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    walk.channels["team"].fail_next(TransientError("connection refused"), times=2)
    with walk.ledger.transaction() as tx:
        for number in range(3):
            tell(tx, walk.clock, _notice(f"n:{number}"), ("team",))
        tell(tx, walk.clock, _notice("other"), ("log",))
    began = walk.clock.now()
    first = next(s for s in walk.open_steps() if s.lock == "announce:team")
    for _ in range(2):
        assert walk.worker.perform(first.id)
        walk.clock.advance(10)
    with walk.ledger.view() as view:
        (team,) = failing(view)
    assert (team.channel, team.since, team.waiting) == ("team", began, 3)
    assert team.error == "connection refused"
    assert "notice to channel team: again in 1 s: connection refused" in caplog.text
    walk.settle()
    with walk.ledger.view() as view:
        assert failing(view) == []


def test_notices_to_one_channel_follow_each_other_without_the_sweep(walk: Walkthrough) -> None:
    with walk.ledger.transaction() as tx:
        for number in range(5):
            tell(tx, walk.clock, _notice(f"n:{number}"), ("team",))
    walk.queue.wake(walk.open_steps()[0])  # the other four came while it was sent
    assert walk.drain() == 5
    assert [n.key for n in walk.channels["team"].sent] == [f"n:{n}" for n in range(5)]


def _notice(key: str) -> Notice:
    return Notice(key, "test", Severity.INFO, "a title", "a text")
