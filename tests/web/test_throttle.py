"""Who sends too much: with the secret it is stored and done later, without it is told to wait."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from tests.web.conftest import SECRET, Site, sample, wait_until

from proctor.core.event import Disposition
from proctor.testing import FakeClock, FakeQueue
from proctor.web import throttle
from proctor.web.throttle import LONGEST, Pacing, Throttle, neighbourhood

Start = Callable[..., Site]
PUSH = json.loads(sample("repo.content-push"))


def push(n: int, subscription: str = "6390e855e30d9209411de93b") -> bytes:
    """A push to the n-th repo, told by the given subscription."""
    webhook = {**PUSH["webhook"], "id": subscription}
    return json.dumps(
        {**PUSH, "repo": {**PUSH["repo"], "id": f"{n:024x}"}, "webhook": webhook}
    ).encode()


def test_a_bucket_holds_a_minute_and_refills_evenly() -> None:
    clock = FakeClock()
    strangers = Throttle(60, clock)
    assert [strangers.wait("a") for _ in range(61)] == [0.0] * 60 + [1.0]
    assert strangers.wait("b") == 0.0
    clock.advance(0.5)
    assert strangers.wait("a") == 0.5  # being refused costs nothing
    clock.advance(0.5)
    assert [strangers.wait("a") for _ in range(2)] == [0.0, 1.0]


def test_what_comes_too_fast_takes_its_turn() -> None:
    clock = FakeClock()
    sources = Pacing(60, clock)
    assert list(sources.waits("a", 62)) == [0.0] * 60 + [1.0, 2.0]
    assert list(sources.waits("a", 2)) == [3.0, 4.0]
    assert list(sources.waits("b", 1)) == [0.0]
    clock.advance(3)
    assert list(sources.waits("a", 1)) == [2.0]
    clock.advance(3600)
    assert list(sources.waits("a", 60)) == [0.0] * 60


def test_nothing_is_put_off_for_longer_than_an_hour() -> None:
    clock = FakeClock()
    sources = Pacing(60, clock)
    waits = list(sources.waits("a", 10_000))
    assert waits == sorted(waits)
    assert (waits[60], waits[-1], max(waits)) == (1.0, LONGEST, LONGEST)
    clock.advance(60)
    assert list(sources.waits("a", 1)) == [LONGEST - 59]


def test_only_so_many_senders_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttle, "KEYS", 3)
    strangers = Throttle(1, FakeClock())
    for key in ("a", "b", "c", "a"):
        strangers.wait(key)
    assert strangers.wait("d") == 0.0  # takes the place of b, who was silent for longest
    assert strangers.wait("a") > 0
    assert strangers.wait("b") == 0.0


@pytest.mark.parametrize(
    ("host", "counts_with"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("a.socket", "a.socket"),
    ],
)
def test_whom_an_address_counts_with(host: str, counts_with: str) -> None:
    assert neighbourhood(host) == counts_with


def test_a_stranger_that_insists_is_told_to_wait(start: Start) -> None:
    site = start(per_address=3)
    for _ in range(3):
        assert site.ask("POST", "/webhooks/hub", push(1), {"X-Webhook-Secret": "no"}).status == 401
    for headers in ({"X-Webhook-Secret": "no"}, {}):
        answer = site.ask("POST", "/webhooks/hub", push(1), headers)
        assert answer.status == 429
        assert answer.headers["retry-after"] == "20"
        assert set(answer.json()) == {"error", "remedy"}
    # The Hub may share the address with it (a proxy): who has the secret is never refused.
    assert site.ask("POST", "/webhooks/hub", push(1), {"X-Webhook-Secret": SECRET}).status == 202
    assert isinstance(site.clock, FakeClock)
    site.clock.advance(20)
    assert site.ask("POST", "/webhooks/hub", push(1)).status == 401
    assert site.ask("POST", "/webhooks/hub", push(1)).status == 429


def test_an_authentic_flood_is_stored_and_its_work_put_off(start: Start) -> None:
    site = start(per_source=4)
    queue = site.queue
    assert isinstance(queue, FakeQueue)
    answers = [site.post(push(n), Webhook_Id=f"w{n}") for n in range(6)]
    assert [a.status for a in answers] == [202] * 6
    assert {a.json()["disposition"] for a in answers} == {"accepted"}
    now = site.clock.now()
    with site.ledger.view() as view:
        due = {step.subject: step.due_at - now for step in view.open_steps()}
        reasons = [d.reason for d in view.deliveries()]
        events = view.events()
    assert [due[f"{n:024x}"] for n in range(6)] == [0, 0, 0, 0, 15, 30]
    assert [e.disposition for e in events] == [Disposition.PENDING] * 6
    assert reasons[2:] == [""] * 4
    assert "waits 15 s" in reasons[1]
    # No worker is woken for what may not begin yet; another source is not slowed.
    other = site.post(push(9, subscription="1" * 24), Webhook_Id="w9")
    assert other.status == 202
    wait_until(lambda: any(s.subject == f"{9:024x}" for s in queue.woken))
    assert {s.subject for s in queue.woken} == {f"{n:024x}" for n in (0, 1, 2, 3, 9)}


def test_a_look_that_is_due_serves_what_would_have_to_wait(start: Start) -> None:
    site = start(per_source=1)
    for n in range(3):
        site.post(push(7), Webhook_Id=f"w{n}")
    with site.ledger.view() as view:
        (step,) = view.open_steps()
    assert step.due_at == site.clock.now()
