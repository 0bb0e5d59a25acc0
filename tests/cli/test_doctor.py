"""doctor in good and bad worlds, against a Local Hub."""

from __future__ import annotations

import re
import socket
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from huggingface_hub import HfApi

from proctor.cli.doctor import State
from proctor.cli.doctor import _database as database
from proctor.clock import HostsClock
from proctor.localhub import DeliveryPolicy, LocalHub
from proctor.settings import Settings
from proctor.wiring import Wiring

if TYPE_CHECKING:
    from tests.cli.conftest import Cli, Done, Record

SECRET = "a secret for the webhook"
HOOK = "https://proctor.example/webhooks/hub"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalHub]:
    policy = DeliveryPolicy(tries=1, first_wait_s=0.01, timeout_s=1, suspend_after=1)
    with LocalHub(tmp_path_factory.mktemp("hub"), deliveries=policy) as running:
        yield running


@pytest.fixture
def world(cli: Cli, hub: LocalHub, request: pytest.FixtureRequest) -> HfApi:
    """A good one but for the webhook: a member of acme, with a write token of theirs."""
    user = "".join(c for c in request.node.name if c.isalnum())[:30]
    token = hub.create_user(user, orgs=["acme"])
    cli.configured()
    cli.environ |= {"HF_ENDPOINT": hub.url, "HF_TOKEN": token, "PROCTOR_WEBHOOK_SECRETS": SECRET}
    return HfApi(endpoint=hub.url, token=token)


def watch(api: HfApi, url: str = HOOK) -> str:
    """Register a webhook."""
    return api.create_webhook(
        url=url, watched=[{"type": "org", "name": "acme"}], domains=["repo"], secret=SECRET
    ).id


def states(done: Done) -> dict[str, str]:
    """What was looked at, and how it is."""
    return {each["what"]: each["state"] for each in done.facts}


def trouble(done: Done, what: str) -> str:
    """Text and remedy of one finding, which has to have both."""
    (found,) = [each for each in done.facts if each["what"] == what]
    assert found["text"] and found["remedy"], found
    return f"{found['text']} → {found['remedy']}"


def test_a_good_world(cli: Cli, world: HfApi) -> None:
    watch(world)
    done = cli("doctor", "--json", PROCTOR_PUBLIC_URL="https://proctor.example")
    assert done.status == 0
    assert set(states(done).values()) == {"good"}
    looked = {"configuration", "database", "broker", "disk", "webhook secret", "evals", "workers"}
    looked |= {"channels"}
    assert looked < set(states(done))
    drawn = cli("doctor")
    assert drawn.status == 0
    assert "watches acme" in drawn.out and "→" not in drawn.out
    assert "at filesystem:///" in " ".join(drawn.out.split())
    assert SECRET not in drawn.out + done.out
    assert cli.environ["HF_TOKEN"] not in drawn.out + done.out


def test_a_read_token_cannot_move_tags(cli: Cli, world: HfApi, hub: LocalHub) -> None:
    read = hub.create_token(world.whoami()["name"], "read")
    done = cli("doctor", "--json", HF_TOKEN=read)
    assert done.status == 1
    assert "write access" in trouble(done, "token")


def test_a_fine_grained_token_is_worth_a_word(cli: Cli, world: HfApi, hub: LocalHub) -> None:
    name = world.whoami()["name"]
    fine = hub.create_token(name, "fineGrained", scopes={"acme": ["repo.write"]})
    done = cli("doctor", "--json", HF_TOKEN=fine)
    assert done.status == 0
    assert states(done)["token"] == "warning" and '"write"' in trouble(done, "token")


def test_a_wrong_token(cli: Cli, world: HfApi) -> None:
    done = cli("doctor", "--json", HF_TOKEN="hf_wrongwrongwrong")
    assert done.status == 1
    assert "Make a new token" in trouble(done, "token")
    assert "hf_wrongwrongwrong" not in done.out


def test_no_token(cli: Cli, world: HfApi) -> None:
    done = cli("doctor", "--json", HF_TOKEN="")
    assert done.status == 1
    assert "HF_TOKEN is not set: nothing can be promoted" in trouble(done, "token")


def test_someone_who_is_not_of_the_organisation(cli: Cli, hub: LocalHub, world: HfApi) -> None:
    stranger = hub.create_user("stranger")
    done = cli("doctor", "--json", HF_TOKEN=stranger)
    assert states(done)["organisations"] == "warning"
    assert "not a member of acme" in trouble(done, "organisations")


def test_a_missing_webhook(cli: Cli, world: HfApi) -> None:
    done = cli("doctor", "--json")
    assert done.status == 0
    assert states(done)["webhook"] == "warning" and "/webhooks/hub" in trouble(done, "webhook")


def test_a_webhook_that_points_elsewhere_is_none(cli: Cli, world: HfApi) -> None:
    watch(world)
    done = cli("doctor", "--json", PROCTOR_PUBLIC_URL="https://other.example")
    assert states(done)["webhook"] == "warning"


def test_a_disabled_webhook(cli: Cli, world: HfApi) -> None:
    world.disable_webhook(watch(world))
    done = cli("doctor", "--json")
    assert done.status == 1 and "Enable it again" in trouble(done, "webhook")


def test_a_suspended_webhook(cli: Cli, world: HfApi, hub: LocalHub) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # bound, not listening: connections are refused
        port = nobody.getsockname()[1]
        hook = watch(world, f"http://127.0.0.1:{port}/webhooks/hub")
        world.create_repo("acme/suspends")
        assert hub.wait_delivered(60)
    assert world.get_webhook(hook).disabled
    done = cli("doctor", "--json")
    assert done.status == 1 and "suspended" in trouble(done, "webhook")
    world.delete_repo("acme/suspends")


def test_a_hub_that_cannot_be_reached(cli: Cli, world: HfApi) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        done = cli("doctor", "--json", HF_ENDPOINT=f"http://127.0.0.1:{port}")
    assert done.status == 1
    assert f"http://127.0.0.1:{port} does not answer" in trouble(done, "hub")
    assert "HF_ENDPOINT" in trouble(done, "hub")


def test_a_broker_that_cannot_be_reached(cli: Cli, world: HfApi) -> None:
    url = "redis://:hunter22@127.0.0.1:1/0"
    done = cli("doctor", "--json", PROCTOR_BROKER_URL=url)
    assert done.status == 1
    told = trouble(done, "broker")
    assert told.startswith("redis://127.0.0.1:1/0 does not answer") and "PROCTOR_BROKER_URL" in told
    assert "hunter22" not in done.out


def test_a_database_that_cannot_be_reached(cli: Cli, world: HfApi) -> None:
    url = "postgresql+psycopg://proctor:hunter22@127.0.0.1:1/proctor"
    done = cli("doctor", "--json", PROCTOR_DATABASE_URL=url)
    assert done.status == 1
    told = trouble(done, "database")
    assert "@127.0.0.1:1/proctor cannot serve now" in told
    assert "PROCTOR_DATABASE_URL" in told and "hunter22" not in done.out


EVALS = """\
pipelines:
  - name: chat
    match: {repo: "acme/*"}
    checks: [{use: lm-eval, name: smoke, with: {tasks: [arith], include_path: .}}]
    gate: [{metric: smoke/arith/acc, at_least: 0.5}]
"""


def test_evals_that_cannot_run_here(
    cli: Cli, world: HfApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli.configured(EVALS)
    assert states(cli("doctor", "--json"))["evals"] == "good"
    monkeypatch.setitem(sys.modules, "torch", None)  # how Python is told that there is none
    told = trouble(cli("doctor", "--json"), "evals")
    assert "torch not installed here: the check smoke cannot measure" in told
    assert "pip install -c constraints.txt '.[eval]'" in told


def test_work_that_waits_without_a_worker(cli: Cli, world: HfApi, past: Record) -> None:
    assert cli("rerun", "acme/bot").status == 0
    done = cli("doctor", "--json")
    assert states(done)["workers"] == "warning"
    assert "`proctor up`" in trouble(done, "workers")


def test_no_secret_and_no_configuration_are_told_once(cli: Cli) -> None:
    done = cli("doctor")
    assert done.status == 1
    assert " ".join(done.out.split()).count("there is no such file") == 1
    assert "PROCTOR_WEBHOOK_SECRETS" in done.out
    assert [line for line in done.out.splitlines() if len(line) > 80] == []


def test_what_it_tells_steers_no_terminal(cli: Cli) -> None:
    done = cli("doctor", PROCTOR_CONFIG="\x1b[2J.yaml", COLUMNS="500")  # room for its whole path
    assert r"\x1b" in done.out
    assert "\x1b[2J" not in done.out


def test_a_channel_that_can_never_work(cli: Cli, world: HfApi) -> None:
    rules = (cli.folder / "proctor.yaml").read_text()
    cli.configured(rules + 'channels: {ops: {use: apprise, url: "foo://topsecret"}}\n')
    done = cli("doctor", "--json")
    assert done.status == 1
    assert "ops cannot be used" in trouble(done, "channels")
    assert "topsecret" not in done.out + done.err


def test_a_folder_that_cannot_be_made(cli: Cli, world: HfApi) -> None:
    (cli.folder / "file").write_text("no folder")
    done = cli("doctor", "--json", PROCTOR_HOME=str(cli.folder / "file" / "home"))
    assert done.status == 1
    (told,) = [f["text"] for f in done.facts if "cannot be made" in f["text"]]
    assert "PROCTOR_HOME" in told and "(Not a directory)" in told
    assert "broker" not in states(done)  # its folder is below: it is not to blame


def test_a_folder_that_cannot_be_written(cli: Cli, world: HfApi) -> None:
    # Not by its mode: root, who may run this, writes anywhere.
    (cli.folder / "home" / ".writable").mkdir(parents=True)
    done = cli("doctor", "--json")
    assert done.status == 1
    assert "cannot be written (Is a directory)" in trouble(done, "disk")


class Behind(HostsClock):
    """The clock of a machine that was set wrongly."""

    def machine(self) -> float:
        return super().machine() - 90


def test_a_clock_that_is_wrong_is_told(cli: Cli, postgres_url: str) -> None:
    cli.configured()
    wiring = Wiring(
        Settings.from_environment({**cli.environ, "PROCTOR_DATABASE_URL": postgres_url})
    )
    wiring.clock = Behind()
    found = {f.what: f for f in database(wiring)}
    wiring.close()
    assert found["clock"].state is State.WARNING
    assert re.search(r"(89|90|91)\.\d s behind that of the database", found["clock"].text)
    assert "NTP" in found["clock"].remedy
