"""Work that nobody takes is told to whoever waits for it."""

from __future__ import annotations

import os
import re
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from proctor.core.notice import Notice, Severity
from proctor.flow.outbox import tell
from proctor.settings import Settings
from proctor.wiring import Wiring

if TYPE_CHECKING:
    from tests.cli.conftest import Cli, Record

REPO = "acme/bot"
REDIS = "redis://127.0.0.1:1/0"


def mark(cli: Cli, name: str, age: float = 0.0) -> None:
    """A worker of this machine, last alive so many seconds ago."""
    file = Path(cli.environ["PROCTOR_HOME"], "alive", name)
    file.parent.mkdir(exist_ok=True)
    file.touch()
    os.utime(file, (time.time() - age, time.time() - age))


def long_due(cli: Cli) -> None:
    """All steps wait for ten minutes."""
    with closing(sqlite3.connect(Path(cli.environ["PROCTOR_HOME"], "proctor.db"))) as connection:
        assert connection.execute("UPDATE steps SET due_at = due_at - 600").rowcount > 0
        connection.commit()


@pytest.mark.parametrize(
    "asked", ["rerun acme/bot", "rollback acme/bot prod", "promote acme/bot@NOW staging"]
)
def test_asking_while_no_worker_runs_here_says_so_at_once(
    cli: Cli, past: Record, asked: str
) -> None:
    done = cli(*asked.replace("NOW", past.pushes["before"]).split())
    assert done.status == 0
    assert "No worker seems to run on this machine" in done.err
    assert "`proctor up`" in done.err and "`proctor worker`" in done.err
    assert "No worker seems to run" in " ".join(cli("status").out.split())


def test_a_worker_that_runs_here_takes_it(cli: Cli, past: Record) -> None:
    mark(cli, "worker-io")
    assert cli("rerun", REPO).err == ""
    assert "No worker" not in cli("status").out
    mark(cli, "worker-io", age=61)
    assert "No worker seems to run" in cli("rollback", REPO, "prod").err


def test_a_worker_that_takes_nothing_is_told(cli: Cli, past: Record) -> None:
    mark(cli, "worker-io-eval")
    cli("rerun", REPO)
    long_due(cli)
    said = " ".join(cli("status").out.split())
    assert "A worker runs here but takes nothing" in said and "queue io waits for 10 min" in said


def test_elsewhere_only_the_wait_tells(cli: Cli, past: Record) -> None:
    cli("rerun", REPO, PROCTOR_BROKER_URL=REDIS)
    assert "No worker" not in cli("status", PROCTOR_BROKER_URL=REDIS).out
    long_due(cli)
    said = " ".join(cli("status", PROCTOR_BROKER_URL=REDIS).out.split())
    assert "the oldest step of queue io waits for 10 min. Start one: `proctor up`" in said
    assert cli("rollback", REPO, "prod", "--json", PROCTOR_BROKER_URL=REDIS).err == ""


def test_a_channel_that_is_down_is_told_and_not_a_worker_that_takes_nothing(
    cli: Cli, past: Record
) -> None:
    mark(cli, "worker-io-eval")
    wiring = Wiring(Settings.from_environment(cli.environ))
    with closing(wiring):
        with wiring.ledger.transaction() as tx:
            for key in ("n:1", "n:2"):
                notice = Notice(key, "test", Severity.INFO, "title", "text")
                (step,) = tell(tx, wiring.clock, notice, ("hook",))
        claim = wiring.ledger.claim(step.id, "host/1", 60)
        assert claim
        with wiring.ledger.transaction() as tx:
            error = "transient: not delivered: connection refused"
            tx.give_back(claim, wiring.clock.now(), error, counts=False)
    long_due(cli)
    said = " ".join(cli("status").out.split())
    assert "takes nothing" not in said and "No worker" not in said
    why = "not delivered: connection refused; 2 notices wait"
    assert re.search(rf"channel hook fails for \d+ s: {why}", said), said
    (told,) = cli("status", "--json").facts["failing_channels"]
    assert (told["channel"], told["waiting"]) == ("hook", 2)
