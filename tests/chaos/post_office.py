"""The way of deliveries from the Hub to the receiver: a small proxy that mixes them up."""

from __future__ import annotations

import http.client
import random
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

How = Literal["straight", "double", "delay", "reverse"]

GATHER = 1.2
"""Seconds for which deliveries are gathered before they are passed on, last first."""

LONGEST_DELAY = 2.0  # seconds; the Hub waits 3

_PATIENCE = 5.0


@dataclass(slots=True)
class _Letter:
    headers: Mapping[str, str]
    body: bytes
    status: int | None = None
    through: threading.Event = field(default_factory=threading.Event)


class PostOffice:
    """Passes deliveries on to the receiver on `port` of the loopback, and its answers back.

    `straight`: at once. `double`: each twice, at the same time. `delay`: each after a while of its
    own, so that they overtake each other. `reverse`: gathered, then one by one, the last first;
    `turned` counts the groups of at least two. A receiver that does not answer is hung up on.
    """

    def __init__(self, port: int) -> None:
        self._port, self.turned = port, 0
        self.how: How = "straight"
        self._guard = threading.Lock()
        self._gathered: list[_Letter] = []
        self._over = threading.Event()
        office = self

        class Counter(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = office._pass(_Letter(dict(self.headers), body))
                if status is not None:
                    self.send_response(status)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                self.close_connection = True

            def log_message(self, format: str, *args: object) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Counter)
        self._server.daemon_threads = True
        self._threads = [
            threading.Thread(target=self._server.serve_forever, daemon=True),
            threading.Thread(target=self._turn_round, daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    @property
    def url(self) -> str:
        """Where the Hub delivers to."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/webhooks/hub"

    def close(self) -> None:
        """The end. What is on its way is not answered."""
        self._over.set()
        self._server.shutdown()
        self._server.server_close()
        for thread in self._threads:
            thread.join()

    def _pass(self, letter: _Letter) -> int | None:
        how = self.how
        if how == "reverse":
            with self._guard:
                self._gathered.append(letter)
            letter.through.wait(_PATIENCE)
            return letter.status
        if how == "delay":
            self._over.wait(random.uniform(0, LONGEST_DELAY))
        if how == "double":
            copy = _Letter(letter.headers, letter.body)
            twin = threading.Thread(target=self._forward, args=(copy,), daemon=True)
            twin.start()
            self._forward(letter)
            twin.join()
            return min(filter(None, (letter.status, copy.status)), default=None)
        self._forward(letter)
        return letter.status

    def _turn_round(self) -> None:
        while not self._over.is_set():
            if not self._gathered:
                self._over.wait(0.05)
                continue
            self._over.wait(GATHER)
            with self._guard:
                letters, self._gathered = self._gathered, []
            self.turned += len(letters) > 1
            for letter in reversed(letters):
                self._forward(letter)
                letter.through.set()

    def _forward(self, letter: _Letter) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=_PATIENCE)
        headers = {k: v for k, v in letter.headers.items() if k.lower() not in _OWN}
        try:
            connection.request("POST", "/webhooks/hub", letter.body, headers)
            answer = connection.getresponse()
            answer.read()
            letter.status = answer.status
        except (OSError, http.client.HTTPException):
            letter.status = None
        finally:
            connection.close()


_OWN = frozenset({"host", "connection", "content-length"})
