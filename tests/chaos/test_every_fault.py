"""Every fault of the Local Hub on every call in turn.

The walk still ends right, or the run ends with a reason and nothing half done; and no tag is
touched more often than it has to be.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from tests.chaos.conftest import POLICY, fault
from tests.chaos.fault_walks import Bench, Call
from tests.chaos.hub_record import witness
from tests.chaos.servers import Postgres, on_servers

from proctor.core.run import StepKind
from proctor.localhub import FAULTS, LocalHub, Rule

pytestmark = pytest.mark.slow

ALL = bool(os.environ.get("CHAOS_STORMS"))
TURNS, TURNS_ON_SERVERS = (1, 5) if ALL else (8, 20)
"""Each fault strikes every nth call, and all of them only with `make chaos`. They begin at
different ones, so that each call meets one or two."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """A fault, with what else the answer says."""

    kind: str
    code: str | None = None
    location: str | None = None

    def __str__(self) -> str:
        return " ".join(filter(None, (self.kind, self.code, self.location)))

    @property
    def rule(self) -> Rule:
        return fault(self.kind, hang_s=0.2, error_code=self.code, location=self.location)

    def may_end(self, call: Call) -> bool:
        """Whether such an answer to that call may cost the run: what is refused for good is not
        asked for again (and where a stage was touched already, that is no end: see
        `ended_clearly`). Not the look's: the repo is looked at again later. All else is only a
        matter of time."""
        if call.step not in (StepKind.SYNC, StepKind.CHECK, StepKind.PROMOTE):
            return False
        if self.kind == "404":
            return True
        # A redirected write may arrive as a read, or where nothing takes it.
        return call.writes and (self.kind in ("301", "302") or self.location is not None)


TROUBLES = [
    *(Trouble(kind) for kind in FAULTS),
    Trouble("404", "RepoNotFound"),
    Trouble("404", "RevisionNotFound"),
    Trouble("302", location="/"),  # a page for people
    *([Trouble("404", "EntryNotFound"), Trouble("307", location="/")] if ALL else []),
]
SAMPLE = TROUBLES if ALL else [t for t in TROUBLES if str(t) in ("lost_answer", "404 RepoNotFound")]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("faults")
    with LocalHub(folder / "hub", deliveries=POLICY) as hub, witness() as url:
        yield Bench(folder, hub, url)


@pytest.fixture(scope="module")
def bench_on_servers(
    tmp_path_factory: pytest.TempPathFactory, postgres_server: Postgres, redis_server: str
) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("faults")
    with (
        LocalHub(folder / "hub", deliveries=POLICY) as hub,
        witness() as url,
        on_servers(postgres_server, redis_server) as servers,
    ):
        yield Bench(folder, hub, url, servers)


@pytest.mark.parametrize("trouble", TROUBLES, ids=str)
def test_a_fault_at_any_call(
    bench: Bench, trouble: Trouble, caplog: pytest.LogCaptureFixture
) -> None:
    strike(bench, trouble, TURNS, caplog)


@pytest.mark.xdist_group("walks on servers")
@pytest.mark.parametrize("trouble", SAMPLE, ids=str)
def test_a_fault_at_any_call_on_postgresql_and_redis(
    bench_on_servers: Bench, trouble: Trouble, caplog: pytest.LogCaptureFixture
) -> None:
    strike(bench_on_servers, trouble, TURNS_ON_SERVERS, caplog)


def strike(bench: Bench, trouble: Trouble, turns: int, caplog: pytest.LogCaptureFixture) -> None:
    assert len(bench.calls) > 25
    for nth in range(1 + TROUBLES.index(trouble) * 3 % turns, len(bench.calls) + 1, turns):
        trap = bench.trap(nth, trouble.rule)
        try:
            bench.walk(trap, trouble.may_end)
        except AssertionError as error:
            where = bench.calls[nth - 1]
            raise AssertionError(f"{trouble} at call {nth}, {where}: {error}") from error
        assert trap.sprung.is_set()
    # The Local Hub's server logs errors of its own.
    ours = [r for r in caplog.records if r.name.startswith("proctor.flow")]
    assert [r.getMessage() for r in ours if r.levelname == "ERROR"] == []
