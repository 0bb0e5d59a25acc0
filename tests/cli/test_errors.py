"""What goes wrong before or around a command: one clear line, exit 1, no traceback, no secret."""

from __future__ import annotations

import socket
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from proctor.localhub import LocalHub

if TYPE_CHECKING:
    from tests.cli.conftest import Cli, Record

READING = ["status", "runs", "why acme/bot", "sweep --once"]
ASKING = [
    "rerun acme/bot",
    "promote acme/bot@abcdef prod",
    "rollback acme/bot prod",
    "release acme/bot prod --accept",
]


@pytest.mark.parametrize("asked", [*ASKING, "status", "sweep --once", "lint", "web", "worker"])
def test_without_a_configuration_there_is_a_start_to_copy(cli: Cli, asked: str) -> None:
    done = cli(*asked.split())
    assert done.status == 1
    assert "proctor.yaml: there is no such file" in done.err
    starter = done.err[done.err.index("stages:") :]
    cli.configured(starter)
    linted = cli("lint")
    assert linted.status == 0, linted.err


def test_a_broken_configuration_tells_all_of_it_with_lines(cli: Cli) -> None:
    cli.configured(
        "stages: [{name: staging}]\n"
        "pipelines:\n"
        "  - name: x\n"
        '    match: {repo: "acme/*", ref: main}\n'
        "    checks: [{use: crad}]\n"
        "    gate: [{metric: crad/license_allowed, at_leats: 1}]\n"
        "    promote: [prod]\n"
    )
    for asked in ("lint", "status", "rollback acme/bot prod", "worker"):
        done = cli(*asked.split())
        assert done.status == 1 and done.out == ""
        places = [line.split("proctor.yaml:")[1].split(":")[0] for line in done.err.splitlines()]
        assert places == ["4", "5", "6", "6", "7"], done.err
        for remedy in ("refs/heads/main", "Did you mean 'card'?", "Did you mean 'at_least'?"):
            assert remedy in done.err
    problems = cli("lint", "--json").facts["problems"]
    assert [p["line"] for p in problems] == [4, 5, 6, 6, 7]
    assert all(p["problem"] and p["remedy"] and p["file"] for p in problems)


def test_lint_takes_a_file(cli: Cli) -> None:
    cli.configured()
    (cli.folder / "proctor.yaml").rename(cli.folder / "other.yaml")
    done = cli("lint", "other.yaml")
    assert done.status == 0 and "other.yaml: good" in done.out
    assert "licences: model acme/* refs/heads/main: card; 1 criterion; staging → prod" in done.out
    assert cli("lint", "other.yaml", "--json").facts == {"problems": [], "not_checked": ""}
    assert cli("lint", "none.yaml").status == 1
    (missing,) = cli("lint", "none.yaml", "--json").facts["problems"]
    assert missing["line"] is None and missing["column"] is None


def test_lint_tells_channels_that_can_never_work(cli: Cli) -> None:
    cli.configured()
    rules = (cli.folder / "proctor.yaml").read_text()
    cli.configured(
        f"{rules}channels:\n"
        '  unknown: {use: apprise, url: "foo://topsecret/token"}\n'
        '  elsewhere: {use: slack, url: "http://hooks.example.com/topsecret"}\n'
        '  fine: {use: slack, url: "env:HOOK"}\n'
    )
    hook = "https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"
    done = cli("lint", "--json", HOOK=hook)
    assert done.status == 1
    first, second = done.facts["problems"]
    assert "channel unknown cannot be used: URL 1 of 1 is not one" in first["problem"]
    assert "channel elsewhere cannot be used: URL 1 of 1" in second["problem"]
    above = rules.count("\n") + 1
    assert (first["line"], second["line"]) == (above + 1, above + 2)
    assert "topsecret" not in done.out + done.err


SETTINGS = {
    "PROCTOR_DATABASE_ULR": ("sqlite:///x", "Did you mean PROCTOR_DATABASE_URL?"),
    "PROCTOR_DATABASE_URL": ("mysql://u:hunter22@h/x", "SQLite or PostgreSQL"),
    "PROCTOR_BROKER_URL": ("amqp://u:hunter22@h/x", "PROCTOR_BROKER_URL"),
    "PROCTOR_LEASE": ("1", "PROCTOR_LEASE"),
    "PORT": ("70000", "Give 0 to 65535"),
    "HF_ENDPOINT": ("huggingface", "HF_ENDPOINT"),
    "PROCTOR_WEBHOOK_SECRETS_FILE": ("/no/such/file", "PROCTOR_WEBHOOK_SECRETS"),
}


@pytest.mark.parametrize("variable", SETTINGS)
def test_a_wrong_setting_is_named(cli: Cli, variable: str) -> None:
    value, told = SETTINGS[variable]
    cli.configured()
    done = cli("status", **{variable: value})
    assert done.status == 1
    assert told in done.line and "hunter22" not in done.err


def test_all_wrong_settings_are_told_at_once(cli: Cli) -> None:
    done = cli("status", PORT="x", PROCTOR_LEASE="x", PROCTOR_HOEM="x")
    assert done.status == 1
    assert len(done.err.splitlines()) == 3


# --- the database


@pytest.mark.parametrize("asked", READING)
@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://proctor:hunter22@127.0.0.1:1/proctor",
        "sqlite:////no/such/folder/proctor.db",
    ],
    ids=["postgresql", "sqlite"],
)
def test_a_database_that_cannot_be_reached(cli: Cli, asked: str, url: str) -> None:
    cli.configured()
    done = cli(*asked.split(), PROCTOR_DATABASE_URL=url)
    assert done.status == 1
    assert "cannot serve now" in done.line and "hunter22" not in done.err


def test_a_file_that_is_no_database(cli: Cli) -> None:
    cli.configured()
    (cli.folder / "junk.db").write_text("this is not a database" * 100)
    done = cli("status", PROCTOR_DATABASE_URL=f"sqlite:///{cli.folder}/junk.db")
    assert done.status == 1 and "file is not a database" in done.line


def test_a_locked_database_can_be_read_and_is_told_of_when_it_must_be_written(
    cli: Cli, past: Record
) -> None:
    path = cli.folder / "home" / "proctor.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert cli("status").status == 0
        done = cli("rerun", "acme/bot")
        assert done.status == 1 and "locked" in done.line
        other.execute("ROLLBACK")
    assert cli("rerun", "acme/bot").status == 0


def test_a_home_that_cannot_be_made(cli: Cli) -> None:
    cli.configured()
    (cli.folder / "file").write_text("no folder")
    done = cli("status", PROCTOR_HOME=str(cli.folder / "file" / "home"))
    assert done.status == 1 and "let PROCTOR_HOME name a folder" in done.line


# --- the broker


def test_asking_works_while_the_broker_is_away(cli: Cli, past: Record) -> None:
    done = cli("rerun", "acme/bot", PROCTOR_BROKER_URL="redis://:hunter22@127.0.0.1:1/0")
    assert done.status == 0 and "started" in done.out
    assert "the sweep will start it" in done.err and "hunter22" not in done.err
    assert cli("status", "--json").facts["steps"]["ready"] == 1


def test_a_sweep_reports_no_hint_while_the_broker_is_away(cli: Cli, past: Record) -> None:
    broker = "redis://:hunter22@127.0.0.1:1/0"
    assert cli("rerun", "acme/bot", PROCTOR_BROKER_URL=broker).status == 0
    done = cli("sweep", "--once", "--json", PROCTOR_BROKER_URL=broker)
    assert done.facts["woken"] == 0
    assert "hunter22" not in done.out + done.err


# --- the Hub


def test_a_sweep_that_does_not_reach_the_hub_says_so(cli: Cli) -> None:
    cli.configured()
    hub = "http://127.0.0.1:1"
    done = cli("sweep", "--once", HF_ENDPOINT=hub)
    assert done.status == 1
    said = " ".join(done.out.split())
    assert f"The Hub at {hub} was not reached" in said and "HF_ENDPOINT" in said
    assert "pushes without a webhook" not in said
    done = cli("sweep", "--once", "--json", HF_ENDPOINT=hub)
    assert done.status == 1
    assert (done.facts["drift"]["hub"], done.facts["drift"]["reached"]) == (hub, False)


def test_a_sweep_of_a_hub_that_answers(cli: Cli) -> None:
    cli.configured()
    with LocalHub(cli.folder / "hub") as hub:
        hub.create_org("acme")
        done = cli("sweep", "--once", HF_ENDPOINT=hub.url)
        assert done.status == 0
        assert "0 heads compared; pushes without a webhook: none" in done.out
        assert cli("sweep", "--once", "--json", HF_ENDPOINT=hub.url).facts["drift"]["reached"]
        done = cli("sweep", "--once", HF_ENDPOINT=hub.url, HF_TOKEN="hf_wrongwrongwrong")
        assert done.status == 1
        assert "what the token may do" in " ".join(done.out.split())


# --- serving


@pytest.mark.parametrize("asked", ["web --host 0.0.0.0", "up --host 0.0.0.0", "web --host ::"])
def test_without_a_secret_only_this_machine_is_served(cli: Cli, asked: str) -> None:
    cli.configured()
    done = cli(*asked.split())
    assert done.status == 1 and "PROCTOR_WEBHOOK_SECRETS" in done.line


@pytest.mark.parametrize("part", ["web", "up", "localhub"])
def test_a_port_in_use(cli: Cli, part: str) -> None:
    cli.configured()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = cli(part, "--port", str(port))
    assert done.status == 1
    assert str(port) in done.line and "choose another" in done.line and "--port" in done.line


@pytest.mark.parametrize("part", ["web", "up", "localhub"])
@pytest.mark.parametrize("port", ["70000", "65536"])
def test_a_port_that_is_none(cli: Cli, part: str, port: str) -> None:
    cli.configured()
    done = cli(part, "--port", port)
    assert done.status == 2 and "65535" in done.err


def test_a_host_that_is_none(cli: Cli) -> None:
    cli.configured()
    done = cli("up", "--host", "127.0.0.1.5", PROCTOR_WEBHOOK_SECRETS="a secret")
    assert done.status == 1 and "choose another --host" in done.line


@pytest.mark.parametrize(
    ("arguments", "cause", "remedy"),
    [
        ("localhub --folder /dev/null/hub", "/dev/null/hub", "--folder"),
        ("localhub --folder TOO_LONG", "TOO_LONG", "--folder"),
        ("localhub --host 192.0.2.1 --port 0", "192.0.2.1", "--host"),
        ("localhub --host 127.0.0.1.5 --port 0", "127.0.0.1.5", "--host"),
        ("demo --folder /dev/null/demo", "/dev/null/demo", "--folder"),
        ("demo --folder TOO_LONG", "TOO_LONG", "--folder"),
    ],
)
def test_what_cannot_be_used_is_named_with_the_option_to_change(
    cli: Cli, arguments: str, cause: str, remedy: str
) -> None:
    # A name too long is an error where a path is looked at, also for root.
    done = cli(*arguments.replace("TOO_LONG", "x" * 300).split())
    assert done.status == 1
    assert cause.replace("TOO_LONG", "x" * 300) in done.line
    assert done.line.endswith(remedy)


# --- checks


def test_checks_alone_shows_its_help(cli: Cli) -> None:
    done = cli("checks")
    assert done.status == 0 and "Usage: proctor checks" in done.out and "show" in done.out


def test_checks_show(cli: Cli) -> None:
    listed = cli("checks", "show")
    assert listed.status == 0
    for name in ("card", "files", "lm-eval"):
        assert name in listed.out
        shown = cli("checks", "show", name)
        assert shown.status == 0 and "Parameters (`with:`):" in shown.out
    assert "tasks (required)" in cli("checks", "show", "lm-eval").out
    assert "limit (default None)" in cli("checks", "show", "lm-eval").out


def test_what_is_refused_steers_no_terminal(cli: Cli) -> None:
    cli.configured()
    done = cli("why", "acme/\x1b[2Jbot@abcdef")
    assert done.status == 1
    assert "\x1b" not in done.err and "\\x1b[2Jbot" in done.err
