"""The receiver as a process: killed under load, stopped, started without a secret, and small."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from starlette.applications import Starlette

from proctor.core.errors import Refused
from proctor.ledger import open_ledger
from proctor.testing import FakeClock
from proctor.web.serve import is_loopback, require_secret, serve

PROGRAM = Path(__file__).with_name("receiver_process.py")
PUSH = json.loads(
    (
        Path(__file__).parents[2] / "fixtures" / "webhooks" / "repo.content-push" / "body.json"
    ).read_text()
)
HEADERS = {"X-Webhook-Secret": "s3cret"}


@contextmanager
def receiver(url: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    command = [sys.executable, str(PROGRAM), url, "s3cret"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline())
            wait_for(lambda: _alive(port))
            yield process, port
        finally:
            process.kill()


def _alive(port: int) -> bool:
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/healthz")
            return connection.getresponse().status == 200
        finally:
            connection.close()
    except OSError:
        return False


def _refuses(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return False


def wait_for(true: Callable[[], bool], within: float = 120.0) -> None:
    deadline = time.monotonic() + within
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


class Sender(threading.Thread):
    """Posts deliveries on one connection until it breaks; `acknowledged` are those answered 202,
    as (delivery id, the Webhook-Id it was sent with)."""

    def __init__(self, port: int, name: str) -> None:
        super().__init__(name=name)
        self.port = port
        self.acknowledged: list[tuple[str, str]] = []
        self.statuses: set[int] = set()
        self.halt = threading.Event()

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            n = 0
            while not self.halt.is_set():
                n += 1
                webhook_id = f"{self.name}-{n // 2}"  # each twice: dedup is under load too
                connection.request(
                    "POST",
                    "/webhooks/hub",
                    json.dumps(PUSH),
                    {**HEADERS, "Webhook-Id": webhook_id},
                )
                answer = connection.getresponse()
                told = json.loads(answer.read())
                self.statuses.add(answer.status)
                if answer.status == 202:
                    self.acknowledged.append((told["delivery"], webhook_id))
        except (OSError, http.client.HTTPException, ValueError):
            pass  # the receiver is gone: what counts is what it acknowledged before
        finally:
            connection.close()


def test_killed_under_load_it_has_everything_it_acknowledged(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    acknowledged: list[tuple[str, str]] = []
    for _ in range(2):
        with receiver(url) as (process, port):
            senders = [Sender(port, f"{port}-{n}") for n in range(8)]
            for sender in senders:
                sender.start()
            wait_for(lambda: sum(len(s.acknowledged) for s in senders) > 150)  # noqa: B023 - called at once
            process.send_signal(signal.SIGKILL)
            for sender in senders:
                sender.join(60)
            acknowledged += [pair for sender in senders for pair in sender.acknowledged]
            assert {s for sender in senders for s in sender.statuses} == {202}
    ledger = open_ledger(url, FakeClock())
    try:
        with ledger.view() as view:
            deliveries = {d.id: d for d in view.deliveries(limit=100_000)}
            events = [e.id for e in view.events(limit=100_000)]
            steps = view.open_steps()
    finally:
        ledger.close()
    assert len(acknowledged) > 300
    for delivery_id, webhook_id in acknowledged:
        assert deliveries[delivery_id].webhook_id == webhook_id
    by_webhook_id: dict[str | None, set[str | None]] = {}
    for delivery in deliveries.values():
        by_webhook_id.setdefault(delivery.webhook_id, set()).add(delivery.event_id)
    assert all(len(ids) == 1 and None not in ids for ids in by_webhook_id.values())
    assert len(events) == len(by_webhook_id)
    assert len(steps) == 1


def test_told_to_stop_it_finishes_what_it_has(tmp_path: Path) -> None:
    with receiver(f"sqlite:///{tmp_path / 'ledger.db'}") as (process, port):
        body = json.dumps(PUSH).encode()
        top = (
            "POST /webhooks/hub HTTP/1.1\r\nHost: x\r\nX-Webhook-Secret: s3cret\r\n"
            f"Expect: 100-continue\r\nContent-Length: {len(body)}\r\n\r\n"
        ).encode()
        with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
            connection.sendall(top)
            assert connection.recv(65536).startswith(b"HTTP/1.1 100 ")  # it has begun
            connection.sendall(body[:50])
            process.send_signal(signal.SIGTERM)
            wait_for(lambda: _refuses(port))  # it knows that it has to stop
            connection.sendall(body[50:])
            assert connection.recv(65536).startswith(b"HTTP/1.1 202 ")
        assert process.wait(60) in (0, -signal.SIGTERM)


def test_the_receiver_is_small_and_imports_no_worker(tmp_path: Path) -> None:
    script = (
        "import sys, proctor.web.app, proctor.web.serve, proctor.ledger;"
        "print([m for m in ('torch', 'lm_eval', 'datasets', 'transformers', 'celery.worker',"
        " 'celery.apps.worker', 'huggingface_hub', 'proctor.settings') if m in sys.modules])"
    )
    found = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": os.environ["PATH"]},  # and it imports in an empty environment
    )
    assert found.stdout.strip() == "[]"
    with receiver(f"sqlite:///{tmp_path / 'ledger.db'}") as (process, _):
        assert psutil.Process(process.pid).memory_info().rss < 100_000_000


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.0.2.1", "example.org"])  # noqa: S104 - refused
def test_without_a_secret_others_are_not_let_in(host: str) -> None:
    with pytest.raises(Refused, match="PROCTOR_WEBHOOK_SECRETS"):
        serve(Starlette(), host, 0, has_secret=False)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_without_a_secret_this_machine_is(host: str) -> None:
    assert is_loopback(host)
    require_secret(host, has_secret=False)


def test_an_address_in_use_is_refused_with_a_remedy() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(Refused, match="--port"):
            serve(Starlette(), "127.0.0.1", taken.getsockname()[1], has_secret=True)


def test_of_two_that_start_at_once_one_is_refused() -> None:
    """Two may have an address as long as neither listens: who says that it is ready has to."""

    def end(_: int) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    def start_another(port: int) -> None:
        with pytest.raises(Refused, match="--port"):
            serve(Starlette(), "127.0.0.1", port, has_secret=True, ready=end)
        end(port)

    serve(Starlette(), "127.0.0.1", 0, has_secret=True, ready=start_another)


def test_an_address_of_no_machine_is_refused() -> None:
    with pytest.raises(Refused, match="not an address"):
        serve(Starlette(), "no.such.host.invalid", 0, has_secret=True)
