"""The state machine of `test_walk_machine.py`, on PostgreSQL and Redis."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis.stateful import run_state_machine_as_test
from tests.chaos.servers import OnServers
from tests.chaos.test_walk_machine import Walking, looking
from tests.flow.conftest import Walkthrough

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("walks on servers")]


def test_walking_on_postgresql_and_redis(servers: OnServers) -> None:
    class OnThem(Walking):
        def new_walk(self, folder: Path) -> Walkthrough:
            return Walkthrough(folder, ledger=servers.ledger, queue=servers.queue)

    run_state_machine_as_test(OnThem, settings=looking(4))
