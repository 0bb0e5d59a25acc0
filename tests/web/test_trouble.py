"""When the database or the broker fails: what the sender sees, and what is on record."""

from __future__ import annotations

import gc
import logging
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from tests.web.conftest import SECRET, Site, Troubled, sample, wait_until, waiting_for

from proctor.core.errors import LedgerUnavailable, TransientError
from proctor.core.event import Delivery
from proctor.core.run import Step
from proctor.ports.intake import IntakeTransaction

Start = Callable[..., Site]
PUSH = sample("repo.content-push-without-webhook-id")


def failing(error: Exception) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


@pytest.mark.parametrize(
    "error",
    [LedgerUnavailable("disk full"), OSError(28, "No space left on device"), RuntimeError("bug")],
    ids=["unavailable", "disk", "bug"],
)
def test_what_cannot_be_stored_is_answered_503(
    troubled: tuple[Site, Troubled], error: Exception
) -> None:
    site, ledger = troubled
    ledger.before = failing(error)
    answer = site.post(PUSH)
    assert answer.status == 503
    assert int(answer.headers["retry-after"]) > 0
    assert set(answer.json()) == {"error", "remedy"}
    ledger.before = lambda: None
    assert site.post(PUSH).json()["disposition"] == "accepted"


def test_a_short_failure_is_not_even_seen(
    troubled: tuple[Site, Troubled], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proctor.web.scribe.QUICK", 60)  # however busy the machine is
    site, ledger = troubled

    def once() -> None:
        if ledger.transactions == 1:
            raise LedgerUnavailable("deadlock detected")

    ledger.before = once
    assert site.post(PUSH).status == 202
    assert ledger.transactions == 2


def test_a_database_that_hangs_is_answered_503_in_time(impatient: tuple[Site, Troubled]) -> None:
    site, ledger = impatient
    release = threading.Event()
    ledger.before = waiting_for(release)
    try:
        began = time.monotonic()
        assert site.post(PUSH, X_Try="first").status == 503
        assert time.monotonic() - began < 9  # it would be 10 where nobody asks for less
        assert site.ask("GET", "/healthz").status == 200
        assert site.post(PUSH, X_Try="second").status == 503
    finally:
        release.set()
    # The first commit may still come true; the second was never begun, as its sender was told.
    wait_until(lambda: site.post(PUSH, X_Try="later").status == 202)
    with site.ledger.view() as view:
        assert len(view.events()) == 1
        tries = {dict(delivery.headers)["x-try"] for delivery in view.deliveries()}
    assert tries - {"first"} == {"later"}


def test_who_waited_too_long_is_not_held_any_more(impatient: tuple[Site, Troubled]) -> None:
    """Senders that come again while the database hangs must not fill the memory."""
    site, ledger = impatient
    release = threading.Event()
    ledger.before = waiting_for(release)
    large = b"[" + b" " * 1_000_000 + b"]"
    tracemalloc.start()  # what is held, not what the process has room for
    try:
        for _ in range(5):
            threads = [threading.Thread(target=site.post, args=(large,)) for _ in range(20)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        gc.collect()
        held, _ = tracemalloc.get_traced_memory()
        assert held < 45_000_000
    finally:
        tracemalloc.stop()
        release.set()


class Poisoned(Troubled):
    """Refuses a delivery with headers, as a database may refuse a text."""

    @contextmanager
    def _transaction(self) -> Iterator[IntakeTransaction]:
        with self.real.transaction() as tx:
            yield Refusing(tx)


class Refusing:
    def __init__(self, tx: IntakeTransaction) -> None:
        self._tx = tx

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tx, name)

    def add_deliveries(self, deliveries: Sequence[Delivery]) -> None:
        if any(value == "poison" for d in deliveries for _, value in d.headers):
            raise ValueError(f"the ledger refuses this: {SECRET}")
        self._tx.add_deliveries(deliveries)


def test_what_the_database_refuses_is_kept_as_bare_bytes(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    site = start(around=Poisoned)
    answer = site.post(PUSH, X_Strange="poison")
    assert (answer.status, answer.json()["disposition"]) == (202, "quarantined")
    with site.ledger.view() as view:
        delivery = view.delivery(answer.json()["delivery"])
        assert view.events() == ()
    assert delivery is not None
    assert (delivery.body, delivery.headers) == (PUSH, ())
    assert "ValueError" in caplog.text
    assert SECRET not in caplog.text


class MuteQueue:
    """A broker that takes the call and never comes back."""

    def __init__(self) -> None:
        self.called = threading.Event()
        self.release = threading.Event()

    def wake(self, step: Step) -> bool:
        self.called.set()
        return self.release.wait(120)


def test_a_mute_broker_changes_nothing_for_the_sender(start: Start) -> None:
    queue = MuteQueue()
    site = start(queue=queue)
    try:
        began = time.monotonic()
        for n in range(20):
            assert site.post(PUSH, Webhook_Id=f"w{n}").status == 202
        assert time.monotonic() - began < 60  # the first of them alone would wait for 120
        assert queue.called.wait(60)
        with site.ledger.view() as view:
            assert len(view.open_steps()) == 1  # there for the sweep
    finally:
        queue.release.set()


class RaisingQueue:
    def __init__(self) -> None:
        self.calls = 0

    def wake(self, step: Step) -> bool:
        self.calls += 1
        raise RuntimeError(f"redis://:{SECRET}@broker")


def test_a_queue_that_raises_is_survived(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    queue = RaisingQueue()
    site = start(queue=queue)
    assert site.post(PUSH, Webhook_Id="w1").status == 202
    wait_until(lambda: queue.calls == 1)
    assert site.post(PUSH, Webhook_Id="w2").status == 202
    wait_until(lambda: queue.calls == 2)
    assert SECRET not in caplog.text


def test_alive_is_not_ready(
    start: Start, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proctor.web.health.PATIENCE", 60)

    def bad() -> None:
        raise TransientError(f"nobody at redis://:{SECRET}@broker")

    def worse() -> None:
        raise RuntimeError(f"password {SECRET}")

    site = start(probes={"broker": bad, "config": worse, "other": lambda: None})
    assert site.ask("GET", "/healthz").json() == {"status": "ok"}
    answer = site.ask("GET", "/readyz")
    assert answer.status == 503
    probes = answer.json()["probes"]
    assert probes["database"] == "ok"
    assert probes["other"] == "ok"
    assert "nobody at redis" in probes["broker"]
    assert "RuntimeError" in probes["config"]
    assert SECRET.encode() not in answer.body
    assert SECRET not in caplog.text


def test_ready_is_ready(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proctor.web.health.PATIENCE", 60)
    answer = site.ask("GET", "/readyz")
    assert (answer.status, answer.json()) == (
        200,
        {"status": "ready", "probes": {"database": "ok"}},
    )


def test_a_probe_that_hangs_costs_one_thread(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proctor.web.health.PATIENCE", 0.2)
    release = threading.Event()
    site = start(probes={"broker": waiting_for(release)})
    try:
        for _ in range(3):
            assert "no answer" in site.ask("GET", "/readyz").json()["probes"]["broker"]
        asking = [t for t in threading.enumerate() if t.name == "probe-broker"]
        assert len(asking) == 1
    finally:
        release.set()


def test_metrics_count_what_happened(site: Site) -> None:
    site.post(PUSH, Webhook_Id="a")
    site.post(PUSH, Webhook_Id="a")
    site.post(b"?")
    site.ask("POST", "/webhooks/hub", PUSH)
    site.ask("GET", "/some/where")
    answer = site.ask("GET", "/metrics")
    assert answer.status == 200
    for line in (
        'proctor_deliveries_total{disposition="accepted"} 1.0',
        'proctor_deliveries_total{disposition="duplicate"} 1.0',
        'proctor_deliveries_total{disposition="quarantined"} 1.0',
        'proctor_http_requests_total{path="/webhooks/hub",status="202"} 3.0',
        'proctor_http_requests_total{path="/webhooks/hub",status="401"} 1.0',
        'proctor_http_requests_total{path="other",status="404"} 1.0',
        'proctor_http_request_duration_seconds_count{path="/webhooks/hub"} 4.0',
    ):
        assert line.encode() in answer.body.splitlines()


def test_an_unforeseen_error_is_answered_and_logged_without_secrets(
    start: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(**parts: object) -> None:
        raise RuntimeError(f"oh no: {SECRET}")

    monkeypatch.setattr("proctor.web.receiver.Arrival", broken)
    caplog.set_level(logging.INFO)
    site = start()
    answer = site.post(PUSH)
    assert answer.status == 503
    wait_until(lambda: "oh no" in caplog.text)
    assert SECRET not in caplog.text
