"""Asking a completions server whether it can serve multiple choice."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from proctor.checks.lm_eval.echo import probe
from proctor.core.errors import CheckFailed, TransientError

Reply = Callable[[dict[str, Any]], Any]


def choice(text: str, logprobs: list[float | None]) -> dict[str, Any]:
    """An answer in the form of the completions API."""
    told = {"tokens": list(text), "token_logprobs": logprobs}
    return {"choices": [{"text": text, "logprobs": told}]}


def sound(asked: dict[str, Any]) -> Any:
    """Echoes, as vLLM does."""
    text = asked["prompt"] + "!"
    return choice(text, [None, *[-0.5] * (len(text) - 1)]) if asked["echo"] else None


def one_token(_asked: dict[str, Any]) -> Any:
    """Ignores `echo`, tells the log-probability of what it made up."""
    return choice("4", [-0.5])


def many_tokens(_asked: dict[str, Any]) -> Any:
    """Ignores `echo` and `max_tokens`: its log-probabilities differ, and mean nothing."""
    return choice("12 is my favourite", [-0.1 * n for n in range(18)])


def no_logprobs(asked: dict[str, Any]) -> Any:
    """Echoes the text alone."""
    return {"choices": [{"text": asked["prompt"], "logprobs": None}]}


def empty_logprobs(asked: dict[str, Any]) -> Any:
    """Echoes with nulls."""
    return choice(asked["prompt"], [None] * len(asked["prompt"]))


@pytest.fixture
def serve() -> Iterator[Callable[[Reply], str]]:
    """Starts a server that answers by a function (an int is a status); returns its address."""
    servers = []

    def start(reply: Reply) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                told = reply(asked)
                body = told if isinstance(told, bytes) else json.dumps(told).encode()
                self.send_response(told if isinstance(told, int) else 200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        servers.append((server, thread))
        return f"http://127.0.0.1:{server.server_port}/v1/completions"

    yield start
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_server_that_echoes(serve: Callable[[Reply], str]) -> None:
    probe(serve(sound), "m", {"Authorization": "Bearer x"})


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (one_token, "ignores `echo`"),
        (many_tokens, "ignores `echo`"),
        (no_logprobs, "no log-probabilities"),
        (empty_logprobs, "without the log-probabilities"),
        (lambda _: {"choices": []}, "no log-probabilities"),
        (lambda _: b"<html>", "did not answer with JSON"),
        (lambda _: 404, "answered 404"),
    ],
)
def test_a_server_that_cannot(serve: Callable[[Reply], str], reply: Reply, words: str) -> None:
    with pytest.raises(CheckFailed, match=words):
        probe(serve(reply), "m", {})


@pytest.mark.parametrize("status", [429, 503])
def test_a_server_that_cannot_now(serve: Callable[[Reply], str], status: int) -> None:
    with pytest.raises(TransientError, match=str(status)):
        probe(serve(lambda _: status), "m", {})


def test_no_server_there() -> None:
    with pytest.raises(TransientError, match="did not answer"):
        probe("http://127.0.0.1:9/v1/completions", "m", {"Authorization": "Bearer hf_x"}, timeout=2)


def test_an_address_of_another_kind() -> None:
    with pytest.raises(CheckFailed, match="http"):
        probe("file:///etc/passwd", "m", {})
