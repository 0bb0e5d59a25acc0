"""The load generator, one process: `python load.py` reads a plan as JSON on stdin, prints a result.

It has to be much cheaper than any server under test, so it is sockets and epoll and nothing else:
requests are cut out beforehand, answers are only looked at as far as needed, and every connection
is kept alive and holds one request at a time (no pipelining).

Two ways to ask. With `rate` 0 every connection asks again as soon as it has its answer: that finds
the ceiling. With a rate the loop is open: requests fall due by the clock whatever the answers do,
and latency counts from the time at which a request was due, so that a stall is not hidden by
senders that politely wait (coordinated omission).
"""

from __future__ import annotations

import json
import resource
import select
import socket
import sys
import time
from collections import deque
from dataclasses import asdict, dataclass, field

BLANK = b"@@@@@@@@@@@@"
"""Wherever this is, the number of the request goes: twelve digits, so that no length changes."""


@dataclass(frozen=True)
class Plan:
    """What to send. `request` is numbered by BLANK. `seconds` of sending; `first` is
    the number of the first request; `rate` is per second (0: as fast as the answers come)."""

    port: int
    request: str
    connections: int = 32
    seconds: float = 2.0
    rate: float = 0.0
    first: int = 0


@dataclass
class Result:
    """What came back. Latencies in seconds, sorted; `cpu` is this process's own, in seconds."""

    answers: int = 0
    wrong: int = 0
    elapsed: float = 0.0
    cpu: float = 0.0
    latencies: list[float] = field(default_factory=list)
    example: str = ""


class Sender:
    """Sends a plan's requests over kept-alive connections."""

    def __init__(self, plan: Plan) -> None:
        self._request = plan.request.encode()
        self._plan = plan
        self._next = plan.first
        self._poll = select.epoll()
        self._idle: deque[socket.socket] = deque()
        self._by_number: dict[int, socket.socket] = {}
        self._since: dict[int, float] = {}
        self._result = Result()

    def run(self) -> Result:
        """Connect, send for as long as planned, wait for what is still out."""
        for _ in range(self._plan.connections):
            connection = socket.create_connection(("127.0.0.1", self._plan.port), timeout=10)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._by_number[connection.fileno()] = connection
            self._poll.register(connection, select.EPOLLIN)
            self._idle.append(connection)
        began, used = time.perf_counter(), _cpu()
        if self._plan.rate:
            self._open_loop(began)
        else:
            self._closed_loop(began)
        self._result.elapsed = time.perf_counter() - began
        self._drain()
        self._result.cpu = _cpu() - used
        self._result.latencies.sort()
        for connection in self._by_number.values():
            connection.close()
        self._poll.close()
        return self._result

    def _closed_loop(self, began: float) -> None:
        ends = began + self._plan.seconds
        while self._idle:
            self._send(self._idle.popleft(), time.perf_counter())
        while time.perf_counter() < ends:
            for number, _ in self._poll.poll(0.1):
                now = time.perf_counter()
                self._send(self._receive(number, now), now)

    def _open_loop(self, began: float) -> None:
        due: deque[float] = deque()
        gap, planned, fallen_due = 1 / self._plan.rate, self._plan.rate * self._plan.seconds, 0
        watched = list(self._by_number)
        while fallen_due < planned or due:
            now = time.perf_counter()
            while fallen_due < planned and began + fallen_due * gap <= now:
                due.append(began + fallen_due * gap)
                fallen_due += 1
            while due and self._idle:
                self._send(self._idle.popleft(), due.popleft())
            pause = began + fallen_due * gap - time.perf_counter() if fallen_due < planned else 0.1
            # select, not epoll: its timeout knows microseconds.
            for number in select.select(watched, [], [], max(0.0, pause))[0]:
                self._idle.append(self._receive(number, time.perf_counter()))

    def _drain(self) -> None:
        ends = time.perf_counter() + 10
        while self._since and time.perf_counter() < ends:
            for number, _ in self._poll.poll(0.1):
                self._receive(number, time.perf_counter())
        self._result.wrong += len(self._since)

    def _send(self, connection: socket.socket, due: float) -> None:
        self._since[connection.fileno()] = due
        connection.sendall(self._request.replace(BLANK, b"%012d" % self._next))
        self._next += 1

    def _receive(self, number: int, now: float) -> socket.socket:
        connection = self._by_number[number]
        answer = connection.recv(65536)
        while not _whole(answer):
            more = connection.recv(65536)
            if not more:
                raise ConnectionError(f"the server hung up: {answer[:200]!r}")
            answer += more
        self._result.answers += 1
        if answer[9:11] != b"20":
            self._result.wrong += 1
            self._result.example = answer[:500].decode("latin-1")
        self._result.latencies.append(now - self._since.pop(number))
        return connection


def _whole(answer: bytes) -> bool:
    head, found, body = answer.partition(b"\r\n\r\n")
    if not found:
        return False
    at = head.lower().find(b"content-length:")
    return at < 0 or len(body) >= int(head[at + 15 :].split(b"\r\n", 1)[0])


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    print(json.dumps(asdict(Sender(Plan(**json.load(sys.stdin))).run())))  # noqa: T201 - the result
