"""kill -9 of the io worker at each step of a promotion, as real processes (P4).

The Local Hub tells when: the worker dies while it waits for the answer to the chosen call.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from huggingface_hub import HfApi
from tests.chaos.apart import Apart
from tests.chaos.conftest import POLICY, fault, trapped
from tests.chaos.diary import Diary
from tests.chaos.hands import Hands
from tests.chaos.hub_record import HubRecord, witness
from tests.chaos.servers import Postgres
from tests.chaos.world import Embedded, Servers, World

from proctor.clock import SystemClock
from proctor.core.names import Revision
from proctor.core.promotion import PromotionStatus
from proctor.core.run import RunStatus, StepKind
from proctor.ledger import SqlLedger
from proctor.ledger.engine import WRITES, make_engine, read_url
from proctor.localhub import LocalHub, Rule

pytestmark = pytest.mark.slow

ALL = bool(os.environ.get("CHAOS_STORMS"))

PATIENCE = 120.0

MOVES = [
    ("refs/tags/staging", "delete"),
    ("refs/tags/staging", "create"),
    ("refs/tags/prod-2", "create"),
    ("refs/tags/prod", "delete"),
    ("refs/tags/prod", "create"),
]
"""What the second promotion of a repo does to its tags, each exactly once, in this order."""


class Scene:
    """One deployment for all tests here; each uses a repo of its own.

    No webhook tells Proctor of anything: the sweep finds the pushes, and seldom does a look at the
    repo come between the calls of a promotion.
    """

    def __init__(self, folder: Path, hub: LocalHub, witness_url: str, world: World) -> None:
        self.hub, self.record, self.world = hub, HubRecord(hub.root), world
        hub.create_org("acme")
        token = hub.create_user("robot", orgs=["acme"])
        self.deployment = Apart(folder, hub, token, world.database, world.broker)
        self.deployment.environ["PROCTOR_HUB_TIMEOUT"] = "60"  # the Hub may be held up on purpose
        api = HfApi(endpoint=hub.url, token=hub.create_user("ana", orgs=["acme"]))
        self.hands = Hands(hub, api, world, self.deployment, Diary())
        self.deployment.begin()
        self.ledger = SqlLedger(world.database, SystemClock())
        self.witness = api.create_webhook(
            url=witness_url, watched=[{"type": "org", "name": "acme"}], domains=["repo"]
        ).id

    def push(self, repo: str, score: float) -> Revision:
        """A person pushes."""
        self.hands.api.create_repo(repo, exist_ok=True)
        self.hands.pushed.setdefault(repo, [])
        self.hands.push(repo, score)
        return Revision(self.hands.pushed[repo][-1])

    def until(self, true: Callable[[], bool], what: str) -> None:
        """Keep the parts alive until it is true."""
        end = time.monotonic() + PATIENCE
        while not true():
            assert time.monotonic() < end, f"waited in vain for {what}"
            self.hands.tick()

    def promoted(self, revision: Revision) -> bool:
        """Whether the run of the revision reached its last stage."""
        with self.ledger.view() as view:
            return any(r.status is RunStatus.PROMOTED for r in view.runs(revision=revision))

    def moves(self, repo: str) -> list[tuple[str, str]]:
        """What happened to the tags of a repo, in order."""
        told = [m for m in self.record.moves(self.witness) if m.repo == repo]
        return [
            (m.ref, "delete" if m.new is None else "create")
            for m in told
            if m.ref.startswith("refs/tags/")
        ]

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Nobody can write what becomes of a step."""
        engine = make_engine(read_url(self.world.database), lock_timeout=PATIENCE)
        connecting = engine.connect().execution_options(**{WRITES: True})
        with connecting as connection, connection.begin():
            if engine.dialect.name == "postgresql":  # SQLite is locked by the beginning alone
                connection.exec_driver_sql("LOCK TABLE steps IN EXCLUSIVE MODE")
            yield
        engine.dispose()


@pytest.fixture(scope="module")
def scene(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("journal")
    world: World = Embedded(folder)
    if request.param == "servers":
        server: Postgres = request.getfixturevalue("postgres_server")
        url = server.url(server.new_database())
        world = Servers(server, url, request.getfixturevalue("redis_server"))
    with LocalHub(folder / "hub", deliveries=POLICY) as hub, witness() as url:
        scene = Scene(folder, hub, url, world)
        try:
            yield scene
        finally:
            scene.ledger.close()
            scene.hands.post.close()
            late = scene.deployment.end()
            world.close()
    assert late == []


COMMIT = "after reading back, before the commit"

STEPS = {
    "before the journal (it reads where prod is)": ("GET", 3),
    "after the journal, before the call": ("DELETE", 3),
    "after the delete, before it is read back": ("GET", 4),
    "after the delete was read back, before the create": ("POST", 4),
    "after the create, before it is read back": ("GET", 5),
    COMMIT: ("GET", 5),
}
"""Where the worker dies while prod moves: at the first such call after so many of MOVES. What is
read, and how often, is not counted: on a slow machine a read is tried again, or a look comes
between."""

SHORT = ("after the delete was read back, before the create", COMMIT)
"""Those that are tried on PostgreSQL and Redis too, without `make chaos`."""


@pytest.mark.parametrize(
    ("scene", "step"),
    [
        # Each world has its own deployment, and its tests one process.
        pytest.param(kind, step, marks=pytest.mark.xdist_group(f"journal on {kind}"))
        for kind, steps in (("embedded", STEPS), ("servers", STEPS if ALL else SHORT))
        for step in steps
    ],
    indirect=["scene"],
    scope="module",
)
def test_death_while_a_stage_moves_changes_nothing(scene: Scene, step: str) -> None:
    method, made = STEPS[step]
    repo = f"acme/step-{list(STEPS).index(step)}"
    first = scene.push(repo, 0.9)
    scene.until(lambda: scene.promoted(first), "the first promotion")
    dies = die_before_the_commit if step == COMMIT else die_in_the_call
    second = dies(scene, repo, method, made)
    converges(scene, repo, second)


@dataclass(slots=True)
class Moment:
    """The first call of that method about the tags of `repo` after `made` calls that move some.
    What `happens` then is over before the Hub reads on, and so no machine is too slow for it. With
    `silent` the last of the calls before it does its work, and is not answered."""

    repo: str
    method: str
    made: int
    happens: Callable[[], Rule | None]
    silent: bool = False
    came: threading.Event = field(default_factory=threading.Event)
    _moves: int = 0

    def strike(self, method: str, target: str) -> Rule | None:
        """In the place of `Faults.strike`."""
        moves = method in ("POST", "DELETE")
        if f"{self.repo}/{'tag/' if moves else 'refs'}" not in target or self.came.is_set():
            return None
        if self._moves == self.made and method == self.method:
            self.came.set()
            return self.happens()
        self._moves += moves
        return LOST if moves and self.silent and self._moves == self.made else None


LOST = fault("lost_answer")


def die_in_the_call(scene: Scene, repo: str, method: str, made: int) -> Revision:
    """The worker dies of the call, which does nothing. Returns what was pushed."""
    killed: list[bool] = []

    def die() -> Rule:
        killed.append(scene.deployment.kill("io"))
        return fault("hang", hang_s=1)  # whoever is just dying hears nothing any more

    with trapped(scene.hub, Moment(repo, method, made, die)) as moment:
        second = scene.push(repo, 0.8)
        scene.until(moment.came.is_set, "the call")
    assert killed == [True]
    return second


def die_before_the_commit(scene: Scene, repo: str, method: str, made: int) -> Revision:
    """The last call is made, and read back; before that is on record the worker dies."""
    locked = threading.Event()

    def wait() -> None:
        # prod is where it should be, and nobody knows yet.
        locked.wait(PATIENCE)

    with trapped(scene.hub, Moment(repo, method, made, wait, silent=True)) as moment:
        second = scene.push(repo, 0.8)
        try:
            scene.until(moment.came.is_set, "the reading back")
            with scene.locked():
                locked.set()
                time.sleep(0.5)  # it reads, and waits to commit
                assert scene.deployment.kill("io")
        finally:
            locked.set()
    return second


def converges(scene: Scene, repo: str, revision: Revision) -> None:
    """The tags end as decided, each moved once, and the journal knows of each."""
    scene.until(lambda: scene.promoted(revision), "the promotion by another worker")
    tags = {r: s for r, s in scene.record.refs(repo).items() if r.startswith("refs/tags/")}
    assert tags["refs/tags/staging"] == tags["refs/tags/prod"] == revision
    assert tags["refs/tags/prod-2"] == revision and tags["refs/tags/prod-1"] != revision
    assert scene.moves(repo)[3:] == MOVES
    with scene.ledger.view() as view:
        (known,) = view.repos_named(repo)
        done = view.promotions(hub_id=known.repo.hub_id)
        assert [p.status for p in done] == [PromotionStatus.DONE] * 4
        journal = [o for p in reversed(done[:2]) for o in view.operations(p.id)]
        assert [(f"refs/tags/{o.tag}", o.kind.value) for o in journal] == MOVES
        assert not view.holds()
        tries = view.attempts(StepKind.PROMOTE, done[0].id)
        *lost, end = [a.outcome for a in tries if a.outcome in ("lease expired", "done")]
        # The one who died, and others if the machine stood still for as long as a lease.
        assert set(lost) == {"lease expired"} and end == "done"
