"""What every command says of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from typer.main import get_command

from proctor.cli.main import app

if TYPE_CHECKING:
    from tests.cli.conftest import Cli

TREE = get_command(app)


def _paths() -> list[tuple[str, ...]]:
    """The words of every command and group of the table of contents."""
    commands = getattr(TREE, "commands", {})
    found: list[tuple[str, ...]] = []
    for name, command in commands.items():
        found.append((name,))
        found += [(name, below) for below in getattr(command, "commands", {})]
    return found


PATHS = _paths()


def test_the_commands_of_the_design_are_there() -> None:
    wanted = "up web worker sweep lint status runs why rerun promote rollback release doctor demo"
    assert {(w,) for w in wanted.split()} <= set(PATHS)
    assert {("localhub",), ("checks", "show")} <= set(PATHS)


@pytest.mark.parametrize("path", PATHS, ids=" ".join)
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_tells_what_it_does_and_names_its_options(
    cli: Cli, path: tuple[str, ...], flag: str
) -> None:
    done = cli(*path, flag)
    assert done.status == 0 and done.err == ""
    assert f"Usage: proctor {' '.join(path)}" in done.out
    command = TREE
    for word in path:
        command = command.commands[word]  # type: ignore[attr-defined]  # each on the path is a group
    said = " ".join(done.out.split())
    assert command.help and command.help.split("\n")[0].split(".")[0].split(":")[0] in said
    for parameter in command.params:
        hidden = getattr(parameter, "hidden", False)
        for option in parameter.opts if parameter.param_type_name == "option" else ():
            assert (option in done.out) is not hidden, f"{option} of {path}"
        if parameter.param_type_name == "option" and not hidden and parameter.name != "help":
            assert getattr(parameter, "help", None), f"{parameter.name} of {path} says nothing"


@pytest.mark.parametrize("path", [(), *PATHS], ids=lambda p: " ".join(p) or "proctor")
def test_help_fits_80_columns(cli: Cli, path: tuple[str, ...]) -> None:
    wide = [line for line in cli(*path, "--help").out.splitlines() if len(line) > 80]
    assert wide == []
    assert "…" not in cli(*path, "--help").out, "something is cut off"


@pytest.mark.parametrize("path", [(), *PATHS], ids=lambda p: " ".join(p) or "proctor")
def test_help_is_free_of_what_only_programmers_read(cli: Cli, path: tuple[str, ...]) -> None:
    said = cli(*path, "--help").out
    for strange in ("<", "{", "[[", "(dynamic)"):
        assert strange not in said.replace("[0<=x<=65535]", ""), f"{strange} in {said}"


def test_without_arguments_it_shows_its_table_of_contents(cli: Cli) -> None:
    done = cli()
    said = done.out + done.err
    for path in PATHS:
        assert path[0] in said
    assert "proctor demo" in said and "Exit status: 0 done, 1 refused or failed, 2 misused" in said


def test_the_version(cli: Cli) -> None:
    done = cli("--version")
    assert done.status == 0 and done.out.startswith("proctor ")


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("why",),
        ("why", "--nonsense", "acme/bot"),
        ("runs", "--limit", "0"),
        ("runs", "--limit", "many"),
        ("promote", "acme/bot@abc"),
        ("release", "acme/bot", "prod"),
        ("release", "acme/bot", "prod", "--accept", "--restore"),
        ("worker", "--queues", "gpu"),
        ("worker", "--queues", ","),
        ("worker", "--concurrency", "0"),
        ("up", "--workers", "0"),
        ("web", "--port", "many"),
        ("checks", "nonsense"),
        ("sweep", "--json"),
    ],
    ids=" ".join,
)
def test_misuse_exits_2_and_says_what_is_wrong(cli: Cli, arguments: tuple[str, ...]) -> None:
    cli.configured()
    done = cli(*arguments)
    assert done.status == 2
    assert "Usage: proctor" in done.err and "Error" in done.err and done.out == ""
    assert "\x1b" not in done.err, "colours without a terminal"
