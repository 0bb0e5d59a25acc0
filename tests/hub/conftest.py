"""A server that answers as a test says: late, wrongly, half, or not at all."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from huggingface_hub import close_session

from proctor.core.names import Repo, RepoType, Revision
from proctor.hub import HuggingFaceHub, Patience

TOKEN = "hf_ThisIsAMadeUpToken"
HUB_ID = "65f0c0ffee65f0c0ffee65f0"
SHA = Revision("a" * 40)


@dataclass(frozen=True)
class Answer:
    """One answer. `hang` seconds pass before the first byte (before="head") or in the middle of
    the body; `reset` cuts the connection there; `trickle` seconds pass after each byte, and
    `trickle_head` seconds after each byte of a header that has no end. A `late` answer comes whole,
    after so many seconds."""

    status: int = 200
    body: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=dict)
    hang: float = 0.0
    reset: bool = False
    before: str = "head"
    trickle: float = 0.0
    trickle_head: float = 0.0
    late: float = 0.0


@dataclass(frozen=True)
class Seen:
    """One request as it came in."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


class Stub:
    """The server. `on` sets the answers for a method and path, the last of them for ever."""

    token = TOKEN
    sha = SHA
    answer = Answer

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self._answers: dict[tuple[str, str], list[Answer]] = {}
        self._lock = threading.Lock()
        self._gone = threading.Event()
        stub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                stub.respond(self)

            do_HEAD = do_POST = do_DELETE = do_GET  # noqa: N815 - likewise

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients leave
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        # Bound and not listening: nobody else can come to be there.
        self._nobody = socket.socket()
        self._nobody.bind(("127.0.0.1", 0))
        self.nobody = f"http://127.0.0.1:{self._nobody.getsockname()[1]}/"

    def on(self, method: str, path: str, *answers: Answer) -> None:
        with self._lock:
            self._answers[(method, path)] = list(answers)

    @staticmethod
    def told(value: object, status: int = 200, **headers: str) -> Answer:
        """A JSON answer."""
        names = {name.replace("_", "-"): text for name, text in headers.items()}
        return Answer(status, json.dumps(value).encode(), names)

    def identity(self, hub_id: str = HUB_ID, name: str = "acme/bot") -> Answer:
        """The answer that tells who a repo is."""
        return self.told({"_id": hub_id, "id": name, "private": False})

    def refs(self, sha: str = SHA, **tags: str) -> Answer:
        """The refs of a repo that has main and these tags."""
        main = {"name": "main", "ref": "refs/heads/main", "targetCommit": sha}
        told = [
            {"name": name, "ref": f"refs/tags/{name}", "targetCommit": at}
            for name, at in tags.items()
        ]
        return self.told({"branches": [main], "converts": [], "tags": told, "pullRequests": []})

    def asked(self, method: str, path: str) -> list[Seen]:
        return [seen for seen in self.seen if (seen.method, seen.path) == (method, path)]

    def close(self) -> None:
        self._gone.set()
        self._server.shutdown()
        self._server.server_close()
        self._nobody.close()
        self._thread.join()

    def respond(self, handler: BaseHTTPRequestHandler) -> None:
        length = int(handler.headers.get("Content-Length") or 0)
        body = handler.rfile.read(length)
        path = handler.path.partition("?")[0]
        with self._lock:
            headers = {name.lower(): text for name, text in handler.headers.items()}
            self.seen.append(Seen(handler.command, path, headers, body))
            answers = self._answers.get((handler.command, path))
            if not answers:
                answers = [self.told({"error": "no such route"}, 404)]
            answer = answers.pop(0) if len(answers) > 1 else answers[0]
        self._send(handler, answer)

    def _send(self, handler: BaseHTTPRequestHandler, answer: Answer) -> None:
        if answer.before == "head" and self._stumble(handler, answer):
            return
        self._gone.wait(answer.late)
        if answer.trickle_head:
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Endless: ")
            while not self._gone.wait(answer.trickle_head):
                handler.wfile.write(b"a")
            return
        handler.send_response(answer.status)
        for name, text in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
            handler.send_header(name, text)
        handler.end_headers()
        if handler.command == "HEAD":
            return
        half = len(answer.body) // 2
        handler.wfile.write(answer.body[:half])
        handler.wfile.flush()
        if answer.before == "middle" and self._stumble(handler, answer):
            return
        if answer.trickle:
            for byte in answer.body[half:]:
                handler.wfile.write(bytes([byte]))
                handler.wfile.flush()
                if self._gone.wait(answer.trickle):
                    return
        else:
            handler.wfile.write(answer.body[half:])

    def _stumble(self, handler: BaseHTTPRequestHandler, answer: Answer) -> bool:
        if answer.hang:
            self._gone.wait(answer.hang)
        if answer.reset:
            # With linger 0 the kernel sends RST instead of FIN.
            linger = struct.pack("ii", 1, 0)
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            handler.close_connection = True
            handler.rfile.close()
            handler.wfile.close()
            handler.connection.close()
        return answer.reset or bool(answer.hang)


@pytest.fixture
def stub() -> Iterator[Stub]:
    """A server on which acme/bot exists and nothing else."""
    server = Stub()
    server.on("GET", "/api/models/acme/bot", server.identity())
    server.on("GET", "/api/models/acme/bot/refs", server.refs())
    yield server
    close_session()
    server.close()


@pytest.fixture
def repo() -> Repo:
    return Repo(HUB_ID, RepoType.MODEL, "acme/bot")


@pytest.fixture
def connect(stub: Stub) -> Callable[..., HuggingFaceHub]:
    """Make an adapter that tries again soon. It waits long for an answer, which may take its time
    on a busy machine; who gets none has to ask for little patience."""

    def made(token: str | None = TOKEN, attempts: int = 3, **patience: float) -> HuggingFaceHub:
        asked = Patience(
            connect=20.0,
            read=patience.get("read", 20.0),
            answer=patience.get("answer", 60.0),
            attempts=attempts,
            backoff=0.02,
            longest_wait=patience.get("longest_wait", 2.0),
            fresh=patience.get("fresh", 20.0),
            brisk=patience.get("brisk", 60.0),
            wary=patience.get("wary", 60.0),
        )
        return HuggingFaceHub(stub.url, token, asked)

    return made


@pytest.fixture
def hub(connect: Callable[..., HuggingFaceHub]) -> HuggingFaceHub:
    return connect()
