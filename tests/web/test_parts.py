"""The receiver's parts, each on its own."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable

import pytest
from prometheus_client import CollectorRegistry
from tests.web.conftest import Site, read_all, sample

from proctor.core.errors import Refused
from proctor.core.run import Step, StepKind
from proctor.core.secret import Secret
from proctor.testing import FakeQueue
from proctor.web import wake
from proctor.web.authentic import Gate
from proctor.web.metrics import Metrics
from proctor.web.wake import Waker


@pytest.mark.parametrize("text", ["", " ", "ends ", " starts", "schlüssel", "a\nb", "a\x00b"])
def test_a_secret_that_the_hub_could_not_send_is_refused_unseen(text: str) -> None:
    with pytest.raises(Refused) as refused:
        Gate([Secret("good"), Secret(text)])
    assert "PROCTOR_WEBHOOK_SECRETS" in str(refused.value)
    assert not text.strip() or text not in str(refused.value)


def test_a_gate_never_shows_its_secrets() -> None:
    gate = Gate([Secret("s3cret-one")])
    assert "s3cret-one" not in repr(gate)
    assert "s3cret-one" not in repr(vars(gate))
    assert gate.scrub("a s3cret-one b") == "a *** b"


def test_without_secrets_everyone_may_post() -> None:
    gate = Gate([])
    assert gate.open
    assert gate.refusal([], b"") is None


def test_an_open_receiver_takes_deliveries(start: Callable[..., Site]) -> None:
    site = start(secrets=())
    assert site.ask("POST", "/webhooks/hub", sample("repo-create")).status == 202


def test_a_header_with_the_secret_in_any_spelling_is_dropped() -> None:
    gate = Gate([Secret("a+b/c")])
    spelled = [b"a+b/c", b"?secret=a%2Bb%2Fc", b"?secret=a%2bb%2fc&x=1", b"x a+b/c y"]
    assert gate.kept([(b"x-url", value) for value in spelled]) == ()
    assert gate.kept([(b"x-url", b"/webhooks/hub")]) == (("x-url", "/webhooks/hub"),)


def test_who_connects_and_never_asks_is_hung_up_on(
    start: Callable[..., Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proctor.web.protocol.HEADERS_WITHIN", 0.3)
    site = start()
    with socket.create_connection(("127.0.0.1", site.port), timeout=60) as connection:
        connection.sendall(b"POST /webhooks/hub HTTP/1.1\r\nHost:")
        began = time.monotonic()
        assert read_all(connection) == b""
        assert time.monotonic() - began < 9  # it would be 10 as it comes


def _step(n: int) -> Step:
    return Step(id=f"s{n}", kind=StepKind.PLAN, subject=f"r{n}", queue="io", due_at=0.0)


class SlowQueue(FakeQueue):
    """Takes its first hint only when released."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = threading.Event()
        self.release = threading.Event()

    def wake(self, step: Step) -> bool:
        self.asked.set()
        self.release.wait(120)
        return super().wake(step)


def test_hints_coalesce_and_are_dropped_when_too_many_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(wake, "ROOM", 3)
    queue, registry = SlowQueue(), CollectorRegistry()
    waker = Waker(queue, Metrics(registry))
    waker.start()
    waker.wake([_step(0)])
    assert queue.asked.wait(60)
    for n in (1, 2, 2, 1, 3, 4, 3):  # 4 finds the room full
        waker.wake([_step(n)])
    queue.release.set()
    waker.stop(timeout=60)
    assert [s.id for s in queue.woken] == ["s0", "s1", "s2", "s3"]
    assert registry.get_sample_value("proctor_wakes_total", {"result": "dropped"}) == 1
    assert registry.get_sample_value("proctor_wakes_total", {"result": "sent"}) == 4
