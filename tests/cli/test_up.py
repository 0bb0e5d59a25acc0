"""up: its parts come back when they die, and never outlive it."""

from __future__ import annotations

import os
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from subprocess import Popen
from typing import TYPE_CHECKING

import psutil
import pytest
from tests.ports import free_port

if TYPE_CHECKING:
    from tests.cli.conftest import Start, Until

pytestmark = pytest.mark.slow

PARTS = {"web", "io", "eval", "sweep"}

RULES = """\
pipelines:
  - name: licences
    match: {repo: "acme/*"}
    checks: [{use: card, with: {licences: [mit]}}]
    gate: [{metric: card/license_allowed, at_least: 1}]
"""


class Up:
    """A running `proctor up`, seen from outside."""

    def __init__(self, process: Popen[str], log: Path, port: int, until: Until) -> None:
        self.process, self.log, self._port, self._until = process, log, port, until

    def parts(self) -> dict[str, psutil.Process]:
        """The parts that are alive, by name."""
        found = {}
        for child in psutil.Process(self.process.pid).children():
            words: list[str] = []
            with suppress(psutil.NoSuchProcess):  # it ends this moment: it is none
                if child.status() != psutil.STATUS_ZOMBIE:
                    words = child.cmdline()
            if "proctor.cli.receiver" in words:
                found["web"] = child
            elif "--leashed" in words and "web" not in words:  # web: not what it becomes yet
                after = words[words.index("proctor") + 1 :]
                found[after[2] if after[0] == "worker" else after[0]] = child
        return found

    def wait_ready(self) -> dict[str, psutil.Process]:
        """All parts are alive and answer."""
        self._until(lambda: set(self.parts()) == PARTS and self._answers(), "all parts")
        self._until(lambda: len(list(self.alive.glob("*"))) == 4, "web, io, eval and sweep")
        return self.parts()

    @property
    def alive(self) -> Path:
        """Where the parts leave their marks."""
        return self.log.parent / "home" / "alive"

    def _answers(self) -> bool:
        try:
            url = f"http://127.0.0.1:{self._port}/readyz"
            with urllib.request.urlopen(url, timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False


@pytest.fixture
def up(start: Start, tmp_path: Path, until: Until) -> Iterator[Up]:
    (tmp_path / "proctor.yaml").write_text(RULES)
    port = free_port()
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "PROCTOR_HOME": str(tmp_path / "home"),
        "HF_ENDPOINT": "http://127.0.0.1:1",  # nobody there: nothing leaves this machine
    }
    process = start("up", "--port", str(port), environ=environ)
    yield Up(process, tmp_path / "up.log", port, until)


def test_a_killed_part_is_started_again_and_term_stops_all(up: Up, until: Until) -> None:
    parts = up.wait_ready()
    for name in ("io", "web"):
        parts[name].send_signal(signal.SIGKILL)
    until(lambda: not parts["io"].is_running() and not parts["web"].is_running(), "the kills")
    for mark in ("worker-io", "web"):  # left by the killed: wait for those of their successors
        (up.alive / mark).unlink()
    again = up.wait_ready()
    for name, part in again.items():
        assert (part == parts[name]) is (name not in ("io", "web")), name
    said = up.log.read_text()
    for name in ("io", "web"):
        assert f"{name} ended with status -9; starting it again in 1 s" in said
    up.process.send_signal(signal.SIGTERM)
    assert up.process.wait(120) == 0
    assert psutil.wait_procs(list(again.values()), timeout=1)[1] == []
    assert "does not stop" not in up.log.read_text()
    assert list(up.alive.glob("*")) == []  # nobody takes what has ended for what runs


def test_what_is_missing_is_told_once_at_the_start(up: Up) -> None:
    up.wait_ready()
    (told,) = [line for line in up.log.read_text().splitlines() if "HF_TOKEN" in line]
    assert "WARNING HF_TOKEN is not set: nothing can be promoted" in told
    assert "set HF_TOKEN (or HF_TOKEN_FILE)" in told


def test_a_stop_before_anything_is_ready_is_a_good_end(up: Up, until: Until) -> None:
    until(lambda: set(up.parts()) == PARTS, "all parts")
    parts = list(up.parts().values())
    up.process.send_signal(signal.SIGINT)
    assert up.process.wait(120) == 0, up.log.read_text()
    assert psutil.wait_procs(parts, timeout=1)[1] == []


def test_nothing_outlives_up_even_when_it_is_killed(up: Up) -> None:
    parts = up.wait_ready()
    up.process.kill()
    up.process.wait()
    gone, alive = psutil.wait_procs(list(parts.values()), timeout=120)
    assert alive == [] and len(gone) == len(PARTS)
    assert "Traceback" not in up.log.read_text()
