"""A real HTTP server on this machine that records what it gets and answers as told."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from proctor.core.notice import Notice, Severity


@dataclass(frozen=True)
class Got:
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """What it got, and how it answers: `status`, `headers`, and a wait for `hang`."""

    url: str = ""
    got: list[Got] = field(default_factory=list)
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    hang: threading.Event | None = None
    drip: bool = False


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A server, closed at the end of the test."""
    state = Receiver()
    over = threading.Event()

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            state.got.append(Got(self.path, dict(self.headers), body))
            if state.hang is not None:
                state.hang.wait(120)
                return
            if state.drip:
                self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
                while not over.wait(0.05):
                    self.wfile.write(b".")
                return
            self.send_response(state.status)
            for name, value in state.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = False

        def handle_error(self, request: object, client_address: object) -> None:
            pass  # the client that gave up is the point of some tests

    with Server(("127.0.0.1", 0), Answer) as server:
        state.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield state
        finally:
            over.set()
            if state.hang is not None:
                state.hang.set()
            server.shutdown()
            thread.join()


@pytest.fixture
def notice() -> Notice:
    """Something to say."""
    return Notice(
        key="run.held:01J",
        kind="run.held",
        severity=Severity.FAILURE,
        title="acme/bot@aaaaaaaa did not pass",
        text="✗ full/arith/acc is 0.7; the gate asks for at least 0.8",
        facts=(("repo", "acme/bot"), ("left by Proctor at", "bbbbbbbb")),
        link="https://proctor.example/runs/01J",
    )
