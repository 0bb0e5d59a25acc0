"""What storms and the tests of single steps share."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import pytest
from tests.chaos.servers import OnServers, Postgres, on_servers

from proctor.localhub import DeliveryPolicy, LocalHub, Rule
from proctor.localhub.faults import Faults

POLICY = DeliveryPolicy(
    tries=100, first_wait_s=0.2, longest_wait_s=1.0, timeout_s=3.0, suspend_after=1_000_000
)
"""Deliveries that are tried until they arrive."""


@pytest.fixture(scope="module")
def servers(postgres_server: Postgres, redis_server: str) -> Iterator[OnServers]:
    """PostgreSQL and Redis for walks whose worker is in this process."""
    with on_servers(postgres_server, redis_server) as servers:
        yield servers


@dataclass(slots=True)
class Trap:
    """Waits for the `nth` call (from 1) that `wanted(method, target)`, and strikes it with
    `rule`. `calls` are those that came while it was set."""

    wanted: Callable[[str, str], bool]
    nth: int
    rule: Rule
    calls: list[tuple[str, str]] = field(default_factory=list)
    sprung: threading.Event = field(default_factory=threading.Event)

    def strike(self, method: str, target: str) -> Rule | None:
        """In the place of `Faults.strike`."""
        if not self.wanted(method, target):
            return None
        self.calls.append((method, target))
        if len(self.calls) != self.nth:
            return None
        self.sprung.set()
        return self.rule


class Striking(Protocol):
    """What can be set as a trap."""

    def strike(self, method: str, target: str) -> Rule | None: ...


S = TypeVar("S", bound=Striking)


@contextmanager
def trapped(hub: LocalHub, trap: S) -> Iterator[S]:
    """Set a trap on a hub in this process; its rules cannot count calls before they strike."""
    faults: Faults = hub.faults
    before = faults.strike
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(faults, "strike", trap.strike)
        yield trap
    assert faults.strike == before


def fault(
    kind: str, *, hang_s: float = 30.0, error_code: str | None = None, location: str | None = None
) -> Rule:
    """A rule of that kind, for a trap."""
    wait = 1 if kind == "429" else None
    return Faults().add(
        ".", kind, hang_s=hang_s, retry_after_s=wait, error_code=error_code, location=location
    )
