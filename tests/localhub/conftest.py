"""A running Local Hub, the real client against it, and a receiver of webhooks."""

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import pytest
from huggingface_hub import HfApi, set_client_factory
from huggingface_hub.utils._http import default_client_factory

from proctor.localhub import DeliveryPolicy, LocalHub

TIMEOUT_S = 120.0


@pytest.fixture(scope="module", autouse=True)
def _client_with_timeout() -> Iterator[None]:
    """The client waits for ever by default: a test must not. By module, because the factory is
    one for the whole process and other tests bring their own."""
    set_client_factory(
        lambda: httpx2.Client(follow_redirects=True, timeout=TIMEOUT_S, trust_env=False)
    )
    yield
    set_client_factory(default_client_factory)


FAST = DeliveryPolicy(tries=4, first_wait_s=0.02, longest_wait_s=0.1, timeout_s=60, suspend_after=2)


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalHub]:
    """One hub for a file of tests; each test takes repositories of its own."""
    with LocalHub(tmp_path_factory.mktemp("hub"), deliveries=FAST) as running:
        yield running


@pytest.fixture(autouse=True)
def _no_faults_left(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "hub" in request.fixturenames:
        request.getfixturevalue("hub").faults.clear()


@pytest.fixture(scope="module")
def ana(hub: LocalHub) -> HfApi:
    """A member of acme with a write token."""
    return HfApi(endpoint=hub.url, token=hub.create_user("ana", orgs=["acme"]))


@pytest.fixture(scope="module")
def bob(hub: LocalHub) -> HfApi:
    """Somebody else."""
    return HfApi(endpoint=hub.url, token=hub.create_user("bob"))


@pytest.fixture(scope="module")
def anonymous(hub: LocalHub) -> HfApi:
    return HfApi(endpoint=hub.url, token=False)


@pytest.fixture
def http(hub: LocalHub) -> Iterator[httpx2.Client]:
    """Plain HTTP, no token, no redirects followed."""
    with httpx2.Client(base_url=hub.url, timeout=TIMEOUT_S, trust_env=False) as client:
        yield client


@pytest.fixture
def repo(ana: HfApi, request: pytest.FixtureRequest) -> str:
    """A fresh model of acme's, with a card and a config."""
    name = request.node.name.removeprefix("test_").replace("_", "-")
    name = "".join(char if char.isalnum() or char == "-" else "-" for char in name).strip("-")
    repo_id = f"acme/{name[:80].replace('--', '-').strip('-')}"
    ana.create_repo(repo_id)
    return repo_id


@dataclass
class Received:
    """One request that came in at the receiver."""

    headers: dict[str, str]
    body: dict[str, Any]
    answer: int


@dataclass
class Receiver:
    """A small HTTP server that takes webhooks. ``answers`` are given one after the other, then
    200 for ever."""

    url: str
    answers: list[int] = field(default_factory=list)
    received: list[Received] = field(default_factory=list)
    news: threading.Condition = field(default_factory=threading.Condition)

    def take(self, headers: dict[str, str], body: bytes) -> int:
        with self.news:
            answer = self.answers.pop(0) if self.answers else 200
            self.received.append(Received(headers, json.loads(body), answer))
            self.news.notify_all()
            return answer

    def wait(self, count: int, timeout_s: float = 120.0) -> list[Received]:
        """The first ``count`` requests; fails when they do not come."""
        with self.news:
            assert self.news.wait_for(lambda: len(self.received) >= count, timeout_s), self.received
            return list(self.received)

    def scopes(self) -> list[str]:
        """scope:action of all that came, sorted: there is no order between deliveries."""
        return sorted(
            f"{item.body['event']['scope']}:{item.body['event']['action']}"
            for item in self.received
        )


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    def take(self: BaseHTTPRequestHandler) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(box.take(dict(self.headers.items()), body))
        self.send_header("Content-Length", "0")
        self.end_headers()

    quiet: Callable[..., None] = lambda *_: None  # noqa: E731 -- http.server logs to stderr
    handler = type("Handler", (BaseHTTPRequestHandler,), {"do_POST": take, "log_message": quiet})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    box = Receiver(f"http://127.0.0.1:{server.server_port}/hook")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield box
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"
