"""What end-to-end tests share: a census of processes, a search for secrets, a deployment."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures"


def processes_of(folder: Path) -> list[psutil.Process]:
    """Every process, this one apart, with `folder` in its command, environment or place."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.pid == psutil.Process().pid or process.status() == psutil.STATUS_ZOMBIE:
                continue
            told = [*process.cmdline(), *process.environ().values(), process.cwd()]
            if any(str(folder) in each for each in told):
                found.append(process)
    return found


@pytest.fixture(scope="session")
def still_alive() -> Callable[[Path], list[str]]:
    """The commands of the processes of a folder that do not end within 5 s: [] is good."""

    def left(folder: Path) -> list[str]:
        end = time.monotonic() + 5
        while (alive := processes_of(folder)) and time.monotonic() < end:
            time.sleep(0.05)
        told = []
        for process in alive:
            with suppress(psutil.Error):
                told.append(" ".join(process.cmdline()))
        return told

    return left


@pytest.fixture(scope="session")
def holding() -> Callable[[Path, str], list[str]]:
    """The files at or below a path whose bytes hold a word."""

    def found(path: Path, word: str) -> list[str]:
        assert word and path.exists()
        files = [path] if path.is_file() else [p for p in sorted(path.rglob("*")) if p.is_file()]
        return [str(p) for p in files if word.encode() in p.read_bytes()]

    return found
