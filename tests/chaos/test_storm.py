"""Everything goes wrong at once; afterwards an oracle that saw nothing of it holds what is left
against the promises (P1 to P9).

A storm is told by its seed: `make chaos SEED=7` begins with that one.
"""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import pytest
from tests.chaos.conftest import POLICY
from tests.chaos.deployment import alive_in
from tests.chaos.driver import Storm
from tests.chaos.hub_record import HubRecord, witness
from tests.chaos.oracle import Remains, Report, examine
from tests.chaos.rows import rows
from tests.chaos.world import Embedded, Servers, World

from proctor.clock import SystemClock
from proctor.ledger import SqlLedger
from proctor.localhub import LocalHub

STORMS = int(os.environ.get("CHAOS_STORMS", "0"))
SEED = int(os.environ.get("CHAOS_SEED", "1"))
SECONDS = float(os.environ.get("CHAOS_SECONDS", "30"))

SHORT = {"embedded": 184, "servers": 366}
"""Seeds by which 12 seconds hold kills, stops, frozen workers, a database in trouble, tags
moved by hand, a push taken back and deliveries turned round."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("chaos"),
    pytest.mark.timeout(400),
]


class Postgres(Protocol):
    """What is needed of the server."""

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def url(self, name: str) -> str: ...
    def new_database(self) -> str: ...


MakeWorld = Callable[[str, Path], World]


@pytest.fixture
def make_world(request: pytest.FixtureRequest) -> MakeWorld:
    """Makes a world of a kind; servers start when first asked for."""

    def make(kind: str, folder: Path) -> World:
        if kind == "embedded":
            return Embedded(folder)
        server: Postgres = request.getfixturevalue("postgres_server")
        url = server.url(server.new_database())
        return Servers(server, url, request.getfixturevalue("redis_server"))

    return make


@pytest.fixture(scope="module")
def tally() -> Iterator[Counter[str]]:
    """What all storms together did and saw; told at the end of the long ones."""
    counted: Counter[str] = Counter()
    yield counted
    if STORMS:
        width = max(map(len, counted), default=0)
        lines = [f"  {what:<{width}}  {n}" for what, n in sorted(counted.items())]
        sys.stderr.write("\n".join(["", "All storms together", *lines, ""]))


def weather(seed: int, seconds: float, pace: float, folder: Path, world: World) -> Report:
    """One storm, from the first start to the oracle's word."""
    with LocalHub(folder / "hub", deliveries=POLICY) as hub, witness() as witness_url:
        storm = Storm(seed, folder, hub, world)
        began = time.monotonic()
        try:
            storm.begin(witness_url)
            storm.rage(seconds, pace)
            storm.calm()
            left = storm.settle()
            settled = time.monotonic()
        finally:
            late = storm.end()
            world.close()
        alive = alive_in(folder / "home")
    ledger = SqlLedger(world.database, SystemClock())
    logs = sorted(folder.glob("*.log"))
    home = [p for p in (folder / "home").rglob("*") if p.is_file() and "proctor.db" not in p.name]
    report = examine(
        Remains(
            ledger=ledger,
            hub=HubRecord(folder / "hub"),
            webhook=storm.webhook,
            witness=storm.witness,
            journal=storm.deployment.journal,
            diary=storm.diary,
            files=[*logs, *home],
            rows=lambda: rows(world.database),
            secrets=storm.secrets,
            alive=alive,
        )
    )
    ledger.close()
    report.expect("P1", not left, f"it does not settle: {left}")
    report.expect("P1", not late, f"did not stop when told to: {late}")
    report.seen.update(storm.diary.done)
    report.seen["kills"] += storm.diary.kills
    report.seen["seconds"] += round(settled - began)
    for name, status in storm.diary.unasked:
        report.seen[f"{name} ended by itself with {status}"] += 1
    sys.stderr.write(
        f"\nstorm {seed} on {world.name}: {storm.diary.kills} kills, {len(storm.diary.scores)} "
        f"pushes, {len(storm.diary.by_hand)} tags moved by people, {settled - began:.0f} s; "
        f"{'all promises hold' if not report.wrong else report.wrong}\n"
    )
    return report


@pytest.mark.parametrize("kind", SHORT)
def test_a_short_storm_breaks_no_promise(kind: str, make_world: MakeWorld, tmp_path: Path) -> None:
    report = weather(SHORT[kind], 12.0, 0.25, tmp_path, make_world(kind, tmp_path))
    assert report.wrong == []
    seen = report.seen
    assert seen["kills"] >= 3 and seen["sittings"] > 0 and seen["tags moved by people"] > 0


@pytest.mark.skipif(not STORMS, reason="make chaos")
@pytest.mark.parametrize("seed", range(SEED, SEED + STORMS))
def test_a_long_storm_breaks_no_promise(
    seed: int, make_world: MakeWorld, tmp_path: Path, tally: Counter[str]
) -> None:
    kind = ("embedded", "servers")[seed % 2]
    report = weather(seed, SECONDS, 0.25, tmp_path, make_world(kind, tmp_path))
    tally.update(report.seen)
    tally["storms"] += 1
    tally["storms that broke a promise"] += bool(report.wrong)
    assert report.wrong == []
