"""The servers under test, each a process of its own."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import psutil
from tests.ports import free_port

HERE: Final = Path(__file__).parent
SECRET: Final = "bench-secret-1234"
PATIENCE: Final = 60.0  # seconds for a server to start on a busy machine

PIPELINES: Final = """
stages: [{name: prod}]
pipelines:
  - name: bench
    match: {type: model, repo: "acme/*"}
    checks: [{use: files, with: {formats: [safetensors]}}]
    gate: [{metric: files/total_bytes, at_least: 0}]
    promote: [prod]
"""


@dataclass(frozen=True)
class Server:
    """A server that answers on `port`. `name` is for the table."""

    name: str
    port: int
    process: psutil.Process

    def cpu(self) -> float:
        """Seconds of CPU used so far by the process and its children."""
        used = 0.0
        for process in (self.process, *self.process.children(recursive=True)):
            times = process.cpu_times()
            used += times.user + times.system
        return used

    def memory(self) -> dict[str, float]:
        """Megabytes: resident, and of that the process's own."""
        # Not memory_full_info: a receiver hides its memory map from others of the same user.
        found = self.process.memory_info()
        return {"rss_mb": found.rss / 1e6, "own_mb": (found.rss - found.shared) / 1e6}


@contextmanager
def started(
    name: str,
    command: Sequence[str],
    port: int,
    log: Path,
    environ: Mapping[str, str] | None = None,
    *,
    wrong_is_fine: bool = False,
) -> Iterator[Server]:
    """Run `command` until the end of the block; it has answered a delivery by the beginning."""
    with log.open("ab") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=out, env={**os.environ, **(environ or {})}, cwd=log.parent
        )
    try:
        deadline = time.monotonic() + PATIENCE
        while not _answers(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{name} does not start: {log.read_text()[-2000:]}")
            time.sleep(0.05)
        yield Server(name, port, psutil.Process(process.pid))
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def python(script: str, *arguments: str) -> list[str]:
    """One of the scripts in `servers`."""
    return [sys.executable, str(HERE / "servers" / script), *arguments]


@contextmanager
def proctor(name: str, folder: Path, database: str, broker: str) -> Iterator[Server]:
    """`proctor web` as it is deployed, in `folder`. The limit for one source is out of the way;
    what it counts is not."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "proctor.yaml").write_text(PIPELINES)
    port = free_port()
    environ = {
        "PROCTOR_HOME": str(folder),
        "PROCTOR_CONFIG": str(folder / "proctor.yaml"),
        "PROCTOR_DATABASE_URL": database,
        "PROCTOR_BROKER_URL": broker,
        "PROCTOR_WEBHOOK_SECRETS": SECRET,
        "PROCTOR_SOURCE_RATE": "1000000",
    }
    command = [str(Path(sys.executable).with_name("proctor")), "web", "--port", str(port)]
    # Twice: a receiver that has migrated its database is larger than those that come after it.
    with started(name, command, port, folder / "log", environ):
        pass
    with started(name, command, port, folder / "log", environ) as server:
        yield server


@cache
def _push() -> str:
    path = HERE.parents[1] / "fixtures" / "webhooks" / "repo.content-push" / "body.json"
    return path.read_text()


def request(*, repo: str = "6366c000a2abcdf2fd69a080") -> str:
    """A push of 1.2 kB as the Hub sends it, with load.BLANK where its number goes."""
    body = json.loads(_push())
    body["repo"]["id"] = repo
    body["repo"]["tags"] = ["license:apache-2.0", "region:us", "safetensors"]
    body["repo"]["tags"].append("x" * (1200 - len(json.dumps(body))))
    text = json.dumps(body, separators=(",", ":"))  # as JSON.stringify writes it
    lines = [
        "POST /webhooks/hub HTTP/1.1",
        "Host: 127.0.0.1",
        "User-Agent: bench",
        "Accept: */*",
        "Content-Type: application/json",
        f"X-Webhook-Secret: {SECRET}",
        "Webhook-Id: 68b40f2c9d1e@@@@@@@@@@@@",
        f"Content-Length: {len(text)}",
    ]
    return "\r\n".join(lines) + "\r\n\r\n" + text


def post(port: int, number: int, *, repo: str = "6366c000a2abcdf2fd69a080") -> int:
    """One delivery on a connection of its own; the status."""
    head, _, body = request(repo=repo).replace("@" * 12, f"{number:012d}").partition("\r\n\r\n")
    lines = (line.split(": ", 1) for line in head.split("\r\n")[1:])
    headers = {name: value for name, value in lines if name not in ("Host", "Content-Length")}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("POST", "/webhooks/hub", body.encode(), headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


def _answers(port: int) -> bool:
    try:
        return post(port, 0) < 300
    except OSError:
        return False
