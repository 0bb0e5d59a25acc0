"""Both databases, and processes of their own, for the ledger's own tests."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Barrier, Thread
from typing import Any, Protocol

import pytest

PROCESSES = 4


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a fresh, empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/ledger.db"
    found: str = request.getfixturevalue("postgres_url")
    return found


class Claimant:
    """A process of its own that works on ledgers (`claimant.py`)."""

    def __init__(self) -> None:
        script = str(Path(__file__).with_name("claimant.py"))
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def tell(self, *words: str) -> None:
        """Send one line."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(words) + "\n")
        self.process.stdin.flush()

    def hear(self) -> Any:
        """One fact; None at the end of what was asked."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the process died"
        return json.loads(line)

    def end(self) -> None:
        """End the process, kindly or not."""
        self.process.kill()
        self.process.communicate()


class Crew(Protocol):
    """Does one thing in each of four processes at once; what each said."""

    def __call__(self, what: str, url: str) -> list[list[Any]]: ...


@pytest.fixture
def claimant() -> Iterator[Claimant]:
    """One process, for a test that breaks it."""
    made = Claimant()
    assert made.hear() == "ready"
    yield made
    made.end()


@pytest.fixture(scope="session")
def _claimants() -> Iterator[list[Claimant]]:
    made = [Claimant() for _ in range(PROCESSES)]
    assert [c.hear() for c in made] == ["ready"] * PROCESSES
    yield made
    for each in made:
        each.end()


@pytest.fixture
def crew(_claimants: list[Claimant]) -> Crew:
    """Four processes that start together."""

    def all_at_once(what: str, url: str) -> list[list[Any]]:
        said: list[list[Any]] = [[] for _ in _claimants]
        all_here = Barrier(len(_claimants))

        def listen(number: int) -> None:
            for fact in iter(_claimants[number].hear, None):
                if fact == "waiting":
                    all_here.wait(60)
                    _claimants[number].tell("go on")
                else:
                    said[number].append(fact)

        for number, each in enumerate(_claimants):
            each.tell(what, url, f"p{number}")
        threads = [Thread(target=listen, args=(n,)) for n in range(len(_claimants))]
        run_all(threads)
        assert all(said), "each process took part"
        return said

    return all_at_once


def run_all(threads: list[Thread]) -> None:
    """Start all, wait for all."""
    each: Callable[[Thread], None]
    for each in (Thread.start, Thread.join):
        for thread in threads:
            each(thread)
