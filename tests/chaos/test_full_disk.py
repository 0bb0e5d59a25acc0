"""A disk that is full: nothing is acknowledged that is not kept, and when there is room again all
goes on without anybody's hand.

Two ways to have one: a small tmpfs, where mounting is allowed (root), and for everybody a limit on
how large files may grow, set on the running processes, which fails writes just so (EFBIG). With
PostgreSQL it is the disk of the server's tables that is full.
"""

from __future__ import annotations

import http.client
import json
import resource
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Protocol
from urllib.parse import parse_qs, urlsplit

import psutil
import psycopg
import pytest
from huggingface_hub import HfApi
from tests.chaos.apart import Apart
from tests.chaos.conftest import POLICY
from tests.chaos.deployment import PARTS, SECRET, Deployment
from tests.chaos.diary import Diary
from tests.chaos.hands import Hands
from tests.chaos.servers import Postgres
from tests.chaos.world import Embedded, Servers, World

from proctor.clock import SystemClock
from proctor.core.names import Revision
from proctor.core.run import RunStatus
from proctor.ledger import SqlLedger
from proctor.localhub import LocalHub

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("disk")]

PATIENCE = 120.0
PUSH = json.loads(
    (
        Path(__file__).parents[2] / "fixtures" / "webhooks" / "repo.content-push" / "body.json"
    ).read_text()
)
BULK = "x" * 20_000


class Disk(Protocol):
    """Where a deployment keeps its state: its home in `folder`, the rest in `world`."""

    folder: Path
    world: World

    def fill(self, deployment: Deployment) -> None:
        """From now on nothing can be written."""
        ...

    def free(self, deployment: Deployment) -> None:
        """There is room again."""
        ...

    def close(self) -> None:
        """Nothing of it is left."""
        ...


class Mounted:
    """A tmpfs of 32 MB, made at `place` and owned by the owner of the folder around it."""

    def __init__(self, place: Path) -> None:
        self._place = place
        place.mkdir()
        owner = place.parent.stat().st_uid
        options = f"size=32m,mode=700,uid={owner}"
        mount = ["mount", "-t", "tmpfs", "-o", options, "proctor-test", str(place)]
        try:
            subprocess.run(mount, capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            place.rmdir()
            why = getattr(error, "stderr", None) or error
            pytest.skip(f"mounting a tmpfs is not allowed here: {why}")

    def fill(self, deployment: Deployment) -> None:
        with suppress(OSError), (self._place / "filler").open("ab", buffering=0) as filler:
            while filler.write(b"x" * 4096):
                pass

    def free(self, deployment: Deployment) -> None:
        (self._place / "filler").unlink()

    def close(self) -> None:
        subprocess.run(["umount", "--lazy", str(self._place)], check=True)
        self._place.rmdir()


class SmallDisk(Mounted):
    """A tmpfs for everything."""

    def __init__(self, folder: Path, request: pytest.FixtureRequest) -> None:
        self.folder = folder / "disk"
        super().__init__(self.folder)
        self.world = Embedded(self.folder)


class SmallTablespace(Mounted):
    """A tmpfs for the tables of PostgreSQL; its journal is elsewhere, and the broker is Redis. (A
    server whose journal finds no room stops, which is another trouble: `world.Servers`.)

    https://www.postgresql.org/docs/current/manage-ag-tablespaces.html"""

    def __init__(self, folder: Path, request: pytest.FixtureRequest) -> None:
        server: Postgres = request.getfixturevalue("postgres_server")
        redis_url: str = request.getfixturevalue("redis_server")
        self.folder = folder
        address = server.url("postgres")
        place = Path(parse_qs(urlsplit(address).query)["host"][0]) / "tight"
        super().__init__(place)
        self._admin = psycopg.connect(address.replace("+psycopg", ""), autocommit=True)
        self._admin.execute(f"CREATE TABLESPACE tight LOCATION '{place}'".encode())
        self._admin.execute(b"CREATE DATABASE tight TABLESPACE tight")
        self.world = Servers(server, server.url("tight"), redis_url)

    def close(self) -> None:
        self.world.close()
        self._admin.execute(b"DROP DATABASE tight WITH (FORCE)")
        self._admin.execute(b"DROP TABLESPACE tight")
        self._admin.close()
        super().close()


class SmallFiles:
    """A limit on how large files may grow, for the running processes and those they start."""

    def __init__(self, folder: Path, request: pytest.FixtureRequest) -> None:
        if not hasattr(resource, "prlimit"):
            pytest.skip("the limits of another process can be set on Linux only")
        self.folder = folder
        self.world = Embedded(folder)

    def fill(self, deployment: Deployment) -> None:
        self._limit(deployment, 1)

    def free(self, deployment: Deployment) -> None:
        self._limit(deployment, resource.RLIM_INFINITY)

    def close(self) -> None:
        """Nothing is left to undo."""

    def _limit(self, deployment: Deployment, most: int) -> None:
        for pid in filter(None, map(deployment.pid, PARTS)):
            with suppress(psutil.Error, ProcessLookupError):
                here = psutil.Process(pid)
                for each in (here, *here.children(recursive=True)):
                    _, hard = resource.prlimit(each.pid, resource.RLIMIT_FSIZE)
                    resource.prlimit(each.pid, resource.RLIMIT_FSIZE, (most, hard))


@pytest.fixture(
    params=[SmallDisk, SmallFiles, SmallTablespace],
    ids=["small disk", "small files", "small tablespace"],
)
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    made: Disk = request.param(tmp_path, request)
    yield made
    made.close()


def test_a_full_disk_loses_nothing_and_needs_nobody(disk: Disk, tmp_path: Path) -> None:
    with LocalHub(tmp_path / "hub", deliveries=POLICY) as hub:
        hub.create_org("acme")
        world = disk.world
        token = hub.create_user("robot", orgs=["acme"])
        deployment = Apart(tmp_path, hub, token, world.database, world.broker)
        deployment.environ["PROCTOR_HOME"] = str(disk.folder / "home")
        api = HfApi(endpoint=hub.url, token=hub.create_user("ana", orgs=["acme"]))
        hands = Hands(hub, api, world, deployment, Diary())
        deployment.begin()
        ledger = SqlLedger(world.database, SystemClock())
        try:
            _go_through(hands, ledger, disk)
        finally:
            ledger.close()
            hands.post.close()
            late = deployment.end()
    assert late == []


def _go_through(hands: Hands, ledger: SqlLedger, disk: Disk) -> None:
    deployment = hands.deployment
    hands.api.create_repo("acme/red")
    assert _promoted(hands, ledger, hands.push("acme/red", 0.9))
    assert _post(deployment, "before") == 202

    disk.fill(deployment)
    acknowledged, refused, number = {"before"}, 0, 0
    until = time.monotonic() + PATIENCE
    while refused < 20:
        assert time.monotonic() < until, f"{len(acknowledged)} were taken on a full disk"
        number += 1
        status = _post(deployment, f"full-{number}")
        assert status in (202, 503)
        if status == 202:
            acknowledged.add(f"full-{number}")
        else:
            refused += 1
        hands.tick()
    revision = hands.push("acme/red", 0.8)  # nobody can be told of it
    for _ in range(60):
        hands.tick()
    disk.free(deployment)

    _until(hands, lambda: _post(deployment, "after") == 202, "deliveries are taken again")
    assert _promoted(hands, ledger, revision)
    with ledger.view() as view:
        kept = {d.webhook_id for d in view.deliveries(limit=10_000)}
    assert acknowledged | {"after"} <= kept
    _until(hands, lambda: not _open(ledger), "everything is done")


def _post(deployment: Deployment, webhook_id: str) -> int:
    """The answer to a delivery about a repo that is none of ours."""
    connection = http.client.HTTPConnection("127.0.0.1", deployment.port, timeout=60)
    headers = {"X-Webhook-Secret": SECRET, "Webhook-Id": webhook_id}
    try:
        connection.request("POST", "/webhooks/hub", json.dumps({**PUSH, "bulk": BULK}), headers)
        return connection.getresponse().status
    finally:
        connection.close()


def _promoted(hands: Hands, ledger: SqlLedger, sha: str) -> bool:
    def promoted() -> bool:
        with ledger.view() as view:
            runs = view.runs(revision=Revision(sha))
        return any(run.status is RunStatus.PROMOTED for run in runs)

    _until(hands, promoted, f"{sha} is promoted")
    return True


def _open(ledger: SqlLedger) -> bool:
    with ledger.view() as view:
        return bool(view.open_steps())


def _until(hands: Hands, true: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, f"waited in vain until {what}"
        hands.tick()
