"""The servers that the other tests stand on."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import psycopg
import redis
from sqlalchemy import make_url

KILLED = """
def test_dies(postgres_url: str, redis_url: str) -> None:
    import os, signal
    print(postgres_url, redis_url, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_each_database_is_its_own(new_postgres_url: Callable[[], str]) -> None:
    one, other = make_url(new_postgres_url()), make_url(new_postgres_url())
    assert one.database != other.database
    for url in (one, other):
        host = url.query["host"]
        assert isinstance(host, str)
        with psycopg.connect(host=host, user="postgres", dbname=url.database) as connection:
            connection.execute("CREATE TABLE mine (n int)")


def test_redis_comes_empty(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        assert client.dbsize() == 0
        client.set("left", "behind")


def test_redis_is_emptied_for_the_next_test(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        assert client.dbsize() == 0


def test_nothing_outlives_a_killed_pytest(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text((Path(__file__).parents[1] / "conftest.py").read_text())
    (tmp_path / "test_dies.py").write_text(KILLED)
    command = [sys.executable, "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", str(tmp_path)]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=300)
    assert ran.returncode == -signal.SIGKILL, ran.stdout + ran.stderr
    folder = Path(ran.stdout.split("host=")[1].split()[0])
    port = ran.stdout.split("redis://127.0.0.1:")[1].split("/")[0]
    deadline = time.monotonic() + 120
    while left := _left(str(folder), f":{port}", "--port " + port):
        assert time.monotonic() < deadline, left
        time.sleep(0.1)
    assert not folder.exists()


def _left(*signs: str) -> list[str]:
    """Command lines of processes that mention any of `signs`."""
    found = []
    for process in psutil.process_iter(["pid", "cmdline"]):
        line = " ".join(process.info["cmdline"] or [])
        if process.info["pid"] != os.getpid() and any(sign in line for sign in signs):
            found.append(line)
    return found
