"""Our own tag move that never comes back as a webhook raises an alarm (P9)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from proctor.core.errors import PermanentError, RepoGone
from proctor.flow.alarm import WINDOW, WITHIN, Alarm
from proctor.flow.runs import plan_step

if TYPE_CHECKING:
    from tests.flow.conftest import Walkthrough


def alarm_of(walk: Walkthrough) -> Alarm:
    return Alarm(walk.ledger, walk.queue, walk.clock, walk.rules, lambda *_: "https://hub.example")


def walked_without_echoes(walk: Walkthrough) -> None:
    """A push arrives by webhook and reaches prod; nothing that we do comes back."""
    walk.push()
    walk.deliver_all()
    walk.drain()
    walk.mail.clear()
    walk.settle()
    assert walk.told() == ["promotion.done", "promotion.done"]


def test_one_notice_for_each_promotion(walk: Walkthrough) -> None:
    walked_without_echoes(walk)
    alarm = alarm_of(walk)
    walk.clock.advance(WITHIN - 1)
    assert alarm.once() == 0
    walk.clock.advance(1)
    assert alarm.once() == 2  # staging and prod
    assert alarm.once() == 0
    assert alarm_of(walk).once() == 0  # another process, or this one restarted
    walk.settle()
    told = [n for n in walk.channels["team"].sent if n.kind == "echo.missing"]
    assert {n.title.rpartition(" ")[2] for n in told} == {"staging", "prod"}
    assert len(told) == 2
    why: Any = walk.why()
    assert [n["kind"] for n in why["runs"][0]["notices"]].count("echo.missing") == 2


def test_an_echo_in_time_raises_none(walk: Walkthrough) -> None:
    walk.pushed_and_settled()
    walk.clock.advance(WITHIN)
    assert alarm_of(walk).once() == 0


def test_an_echo_that_waits_to_be_looked_at_raises_none(walk: Walkthrough) -> None:
    walk.push()
    walk.deliver_all()
    walk.drain()
    walk.clock.advance(WITHIN)
    walk.deliver_all()  # late, and no worker is there
    walk.queue.lose_all()
    assert alarm_of(walk).once() == 0
    walk.settle()
    assert alarm_of(walk).once() == 0


@pytest.mark.parametrize(
    ("call", "error"),
    [("refs", PermanentError("the Hub answered 418")), ("find", RepoGone("404"))],
)
@pytest.mark.parametrize("by_object", [False, True])
def test_an_echo_whose_look_failed_for_good_raises_none(
    walk: Walkthrough, call: str, error: Exception, by_object: bool
) -> None:
    sha = walk.push()
    walk.deliver_all()
    walk.drain()
    assert walk.tags()["prod"] == sha
    if by_object:  # a tag with a message is an object, and the Hub may tell that object's sha
        for mail in walk.mail:
            updates: Any = mail.body["updatedRefs"]
            for update in updates:
                update["newSha"] = update["newSha"] and "0b" * 20
    walk.hub.fail_next(call, error)
    walk.deliver_all()
    walk.drain()
    assert walk.dispositions() == ["ran", "echo", "echo", "echo"]
    walk.clock.advance(WITHIN)
    assert alarm_of(walk).once() == 0


def test_a_team_without_webhooks_is_left_alone(walk: Walkthrough) -> None:
    walk.push()
    walk.mail.clear()
    walk.reconcile.once()
    walk.drain()
    walk.mail.clear()
    walk.settle()
    assert walk.told() == ["promotion.done", "promotion.done"]
    walk.clock.advance(WITHIN)
    assert alarm_of(walk).once() == 0


def test_old_news_raise_none(walk: Walkthrough) -> None:
    walked_without_echoes(walk)
    walk.clock.advance(WINDOW + 1)
    assert alarm_of(walk).once() == 0


def test_a_move_that_was_made_and_not_read_back_is_not_yet_expected(walk: Walkthrough) -> None:
    walked_without_echoes(walk)
    with walk.ledger.transaction() as tx:
        for promotion in tx.promotions():
            for operation in tx.operations(promotion.id):
                tx.save(replace(operation, observed_at=None))
        tx.add_step(plan_step(walk.clock, walk.repo.hub_id))
    walk.clock.advance(WITHIN)
    assert alarm_of(walk).once() == 0
