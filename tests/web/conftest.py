"""A real receiver: uvicorn on a socket, the SQL ledger on SQLite."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from proctor.core.secret import Secret
from proctor.ledger import open_ledger
from proctor.ledger.direct import DirectIntake
from proctor.ports.clock import Clock
from proctor.ports.intake import Intake, IntakeTransaction
from proctor.ports.ledger import Ledger
from proctor.ports.queue import Queue
from proctor.testing import FakeClock, FakeQueue
from proctor.web.app import create_app
from proctor.web.fast_path import Desk, FastProtocol
from proctor.web.health import Probe
from proctor.web.receiver import Limits
from proctor.web.serve import server_config

SECRET = "s3cret+of/the=tests"
SAMPLES = Path(__file__).parents[2] / "fixtures" / "webhooks"


@dataclass(frozen=True)
class Answer:
    """An HTTP answer, read to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Site:
    """A running receiver and what it writes to."""

    port: int
    ledger: Ledger
    queue: Queue
    clock: Clock
    stop: Callable[[], None]
    """Asks it to stop, as a signal would."""

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, dict(headers or {}))
            answer = connection.getresponse()
            return Answer(
                answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.read()
            )
        finally:
            connection.close()

    def post(self, body: bytes, **headers: str) -> Answer:
        """A delivery with the right secret. Header names are given with underscores."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.ask("POST", "/webhooks/hub", body, {"X-Webhook-Secret": SECRET, **named})

    def raw(self, request: bytes, *, timeout: float = 60.0) -> bytes:
        """Send bytes as they are; whatever comes back until the server closes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout) as connection:
            connection.sendall(request)
            return read_all(connection)


def read_all(connection: socket.socket) -> bytes:
    """Everything until the peer closes (or resets)."""
    parts = []
    try:
        while part := connection.recv(65536):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


def read_answer(connection: socket.socket) -> Answer:
    """One answer with a Content-Length, from a connection that may stay open."""
    answer = http.client.HTTPResponse(connection)
    answer.begin()
    return Answer(answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.read())


def sample(name: str) -> bytes:
    """The body of a sample delivery."""
    return (SAMPLES / name / "body.json").read_bytes()


@dataclass
class Ask:
    """What to run: override what a test is about."""

    secrets: tuple[str, ...] = (SECRET,)
    limits: Limits = field(default_factory=Limits)
    probes: Mapping[str, Probe] = field(default_factory=dict)
    queue: Queue = field(default_factory=FakeQueue)
    around: Callable[[Intake], Intake] = lambda intake: intake
    per_source: int = 1_000_000
    per_address: int = 1_000_000


@contextmanager
def running(url: str, ask: Ask) -> Iterator[Site]:
    """Serve in a thread until the end of the block."""
    clock = FakeClock()
    with ExitStack() as stack:
        ledger = open_ledger(url, clock)
        stack.callback(ledger.close)
        intake = DirectIntake(url)
        stack.callback(intake.close)
        app = create_app(
            intake=ask.around(intake),
            queue=ask.queue,
            clock=clock,
            secrets=[Secret(s) for s in ask.secrets],
            limits=ask.limits,
            probes=ask.probes,
            per_source=ask.per_source,
            per_address=ask.per_address,
        )
        bound = stack.enter_context(socket.socket())
        bound.bind(("127.0.0.1", 0))
        server = uvicorn.Server(server_config(app))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
        thread.start()
        try:
            wait_until(lambda: server.started)

            def stop() -> None:
                server.should_exit = True

            yield Site(bound.getsockname()[1], ledger, ask.queue, clock, stop)
        finally:
            server.should_exit = True
            thread.join(120)
            assert not thread.is_alive()


def wait_until(true: Callable[[], bool], within: float = 120.0) -> None:
    """Return when `true()`; fail after `within` seconds."""
    deadline = time.monotonic() + within
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


READ: Counter[int] = Counter()
"""Bytes that the server has read, by the port of the sender."""


@pytest.fixture(autouse=True)
def _reading_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    READ.clear()
    data_received = FastProtocol.data_received

    def counted(protocol: FastProtocol, data: bytes) -> None:
        data_received(protocol, data)
        if protocol.client is not None:
            READ[protocol.client[1]] += len(data)

    monkeypatch.setattr(FastProtocol, "data_received", counted)


def wait_read(connection: socket.socket, count: int) -> None:
    """Wait until the server has read so many bytes from this connection."""
    port = connection.getsockname()[1]
    wait_until(lambda: READ[port] >= count)


def send_apart(connection: socket.socket, *pieces: bytes) -> None:
    """Send each piece when the server has read those before, so that it gets them one by one."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    read = READ[connection.getsockname()[1]]
    for piece in pieces:
        wait_read(connection, read)
        connection.sendall(piece)
        read += len(piece)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Site]]:
    """Starts a site: `start(limits=…)` with the fields of `Ask`."""
    with ExitStack() as stack:
        yield lambda **ask: stack.enter_context(
            running(f"sqlite:///{tmp_path / 'ledger.db'}", Ask(**ask))
        )


@pytest.fixture
def site(start: Callable[..., Site]) -> Site:
    """A site as it comes."""
    return start()


class Troubled:
    """A ledger whose write transactions fail when told to; the rest is the real one."""

    def __init__(self, real: Intake) -> None:
        self.real = real
        self.before: Callable[[], None] = lambda: None
        self.transactions = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def transaction(self) -> AbstractContextManager[IntakeTransaction]:
        return self._transaction()

    @contextmanager
    def _transaction(self) -> Iterator[IntakeTransaction]:
        self.transactions += 1
        self.before()
        with self.real.transaction() as tx:
            yield tx


@pytest.fixture
def troubled(start: Callable[..., Site]) -> tuple[Site, Troubled]:
    """A site whose senders wait until the ledger goes on."""
    return _troubled(start, patience=60)


@pytest.fixture
def impatient(start: Callable[..., Site]) -> tuple[Site, Troubled]:
    """A site whose senders are soon told that the ledger does not go on."""
    return _troubled(start, patience=0.5)


def _troubled(start: Callable[..., Site], *, patience: float) -> tuple[Site, Troubled]:
    made: list[Troubled] = []

    def around(real: Intake) -> Troubled:
        made.append(Troubled(real))
        return made[0]

    site = start(around=around, limits=Limits(store=patience))
    return site, made[0]


def waiting_for(event: threading.Event) -> Callable[[], None]:
    def wait() -> None:
        event.wait(120)

    return wait


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The bodies that went the fast way."""
    bodies: list[bytes] = []
    take = Desk.take

    def noted(desk: Desk, headers: Any, body: bytes, answer: Any) -> None:
        bodies.append(body)
        take(desk, headers, body, answer)

    monkeypatch.setattr(Desk, "take", noted)
    return bodies
