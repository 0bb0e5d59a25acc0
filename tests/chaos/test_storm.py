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
from tests.chaos.apart import Apart
from tests.chaos.conftest import POLICY
from tests.chaos.deployment import alive_in
from tests.chaos.driver import KILLS, Storm
from tests.chaos.hub_record import HubRecord, witness
from tests.chaos.oracle import Remains, Report, examine
from tests.chaos.rows import rows
from tests.chaos.up import Up
from tests.chaos.world import Embedded, Servers, World

from proctor.clock import SystemClock
from proctor.ledger import SqlLedger
from proctor.localhub import LocalHub

STORMS = int(os.environ.get("CHAOS_STORMS", "0"))
SEED = int(os.environ.get("CHAOS_SEED", "1"))
SECONDS = float(os.environ.get("CHAOS_SECONDS", "30"))
PACE = float(os.environ.get("CHAOS_PACE", "0.25"))  # seconds from act to act, on the average

SHORT = {"embedded": (46645, 12.0), "servers": (55189, 12.0), "up": (8399, 8.0)}
"""Seeds by which so many seconds hold kills, stops, frozen workers, a database in trouble, tags
moved by hand, a push taken back and deliveries turned round; with `up`, kills of it and of parts
below it."""

KINDS = ("servers", "embedded", "up", "servers", "embedded", "up on servers")
"""What a seed runs on: its place is the seed modulo 6."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("chaos"),
    # A long one lasts longer than its seconds where the machine cannot keep its pace.
    pytest.mark.timeout(1500 + 10 * SECONDS * bool(STORMS)),
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
        if "servers" not in kind:
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


def weather(seed: int, seconds: float, kind: str, folder: Path, make_world: MakeWorld) -> Report:
    """One storm, from the first start to the oracle's word."""
    world = make_world(kind, folder)
    deployed = Up if kind.startswith("up") else Apart
    with LocalHub(folder / "hub", deliveries=POLICY) as hub, witness() as witness_url:
        storm = Storm(seed, folder, hub, world, deployed)
        began = time.monotonic()
        try:
            storm.begin(witness_url)
            storm.rage(seconds, PACE)
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
        f"\nstorm {seed} ({kind}) on {world.name}: {storm.diary.kills} kills, "
        f"{len(storm.diary.scores)} pushes, {len(storm.diary.by_hand)} tags moved by people, "
        f"{settled - began:.0f} s; "
        f"{'all promises hold' if not report.wrong else report.wrong}\n"
    )
    return report


@pytest.mark.parametrize("kind", SHORT)
def test_a_short_storm_breaks_no_promise(kind: str, make_world: MakeWorld, tmp_path: Path) -> None:
    seed, seconds = SHORT[kind]
    report = weather(seed, seconds, kind, tmp_path, make_world)
    assert report.wrong == []
    seen = report.seen
    assert seen["kills"] >= KILLS and seen["sittings"] > 0 and seen["tags moved by people"] > 0
    if kind == "up":
        assert seen["kill up"] and seen["parts orphaned"] and seen["parts started again by up"]


@pytest.mark.skipif(not STORMS, reason="make chaos")
@pytest.mark.parametrize("seed", range(SEED, SEED + STORMS))
def test_a_long_storm_breaks_no_promise(
    seed: int, make_world: MakeWorld, tmp_path: Path, tally: Counter[str]
) -> None:
    report = weather(seed, SECONDS, KINDS[seed % len(KINDS)], tmp_path, make_world)
    tally.update(report.seen)
    tally["storms"] += 1
    tally["storms that broke a promise"] += bool(report.wrong)
    assert report.wrong == []
