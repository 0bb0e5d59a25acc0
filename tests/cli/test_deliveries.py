"""What the receiver took in is listed, whatever was sent."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from proctor.core.harmless import harmless
from proctor.core.names import Repo, RepoType, Revision
from proctor.flow.accept import Arrival, accept
from proctor.settings import Settings
from proctor.testing.payloads import payload
from proctor.wiring import Wiring

if TYPE_CHECKING:
    from tests.cli.conftest import Cli

REPO = Repo("6512f0e5c0a1b2c3d4e5f6a8", RepoType.MODEL, "acme/bot")
UNREADABLE = b"\x1b[2Jnot json \xff hf_abcdefghijkl"
PUSH = json.dumps(
    payload(
        REPO,
        "update",
        "repo.content",
        head=Revision("a" * 40),
        subscription="6512f0e5c0a1b2c3d4e5f6a7",
    )
).encode()


@pytest.fixture
def mail(cli: Cli) -> None:
    """A push, delivered twice, and two bodies that cannot be read."""
    cli.configured()
    wiring = Wiring(Settings.from_environment(cli.environ))
    for n, (sent, body) in enumerate(
        [("m1", PUSH), ("m1", PUSH), ("m2", UNREADABLE), ("m3", b"{}")]
    ):
        accept(wiring.ledger, wiring.clock, Arrival(sent, (), body, wiring.clock.now() + n))
    wiring.close()


@pytest.mark.usefixtures("mail")
def test_deliveries_are_listed_newest_first(cli: Cli) -> None:
    facts = cli("deliveries", "--json").facts
    words = ["quarantined", "quarantined", "duplicate", "pending"]
    assert [d["disposition"] for d in facts] == words
    assert [d["webhook_id"] for d in facts] == ["m3", "m2", "m1", "m1"]
    assert facts[2]["reason"] == f"tells event {facts[3]['event']['id']} again"
    assert facts[3]["event"]["repo"] == "acme/bot" and facts[3]["begins"] == ""
    assert facts[3]["bytes"] == len(PUSH)
    drawn = " ".join(cli("deliveries").out.split())
    assert all(word in drawn for word in words) and "acme/bot repo.content" in drawn
    assert cli("deliveries", "--limit", "2", "--json").facts == facts[:2]


@pytest.mark.usefixtures("mail")
def test_what_could_not_be_read_is_shown_as_far_as_that_is_harmless(cli: Cli) -> None:
    facts = cli("deliveries", "--disposition", "quarantined", "--json").facts
    assert [d["webhook_id"] for d in facts] == ["m3", "m2"]
    assert all(d["reason"] and d["event"] is None for d in facts)
    assert facts[0]["begins"] == "{}"
    assert facts[1]["begins"] == "\x1b[2Jnot json \\xff ***"
    done = cli("deliveries", "--disposition", "quarantined")
    assert "\x1b" not in done.out and "\\x1b[2Jnot json" in done.out
    assert f"{len(UNREADABLE)} bytes" in done.out and "hf_" not in done.out


@pytest.mark.usefixtures("mail")
def test_a_delivery_became_what_its_event_became(cli: Cli) -> None:
    assert cli("deliveries", "--disposition", "filtered", "--json").facts == []
    assert cli("deliveries", "--disposition", "filtered").out == (
        "No delivery on record is filtered.\n"
    )
    (pending,) = cli("deliveries", "--disposition", "pending", "--json").facts
    assert pending["event"]["action"] == "update"
    assert cli("deliveries", "--disposition", "lost").status == 2


def test_of_nothing(cli: Cli) -> None:
    cli.configured()
    assert cli("deliveries").out == "No delivery is on record yet.\n"
    assert cli("deliveries", "--json").facts == []


def test_harmless() -> None:
    facts = {"a\r": ["\x1b]0;x\x07", "two\nlines", "\u202e", 1, None, True, "\ud800"]}
    shown = {"a\\r": ["\\x1b]0;x\\x07", "two\nlines", "\\u202e", 1, None, True, "\\ud800"]}
    assert harmless(facts) == shown
