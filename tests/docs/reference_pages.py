"""Pages of docs/reference that are written out of the code. Write them anew with:

python tests/docs/reference_pages.py
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import typer
from pydantic import BaseModel

from proctor import plugins
from proctor.cli.main import app

FOLDER: Final = Path(__file__).parents[2] / "docs" / "reference"
BUILT_IN: Final = ("card", "files", "lm-eval")

WRITTEN = "Written by `python tests/docs/reference_pages.py` out of the code."

COMMANDS_HEAD = f"""\
# Commands

{WRITTEN}

Every command reads the [settings](settings.md) from the environment. Exit status: 0 done, 1 refused
or failed, 2 misused; 75 of a worker whose work did not stop in time. `--json` prints facts for
programs, on stdout. `-h` or `--help` explains each command, and `proctor --version` shows the
version.
"""

CHECKS_HEAD = f"""\
# Checks

{WRITTEN} `proctor checks show` prints the same.

A check measures a revision and reports metrics. A gate names them `check/metric`, by the check's
`name` in the pipeline: `full/arith/acc`. How to add a check of your own:
[write a check](../howto/write-a-check.md).

`card` and `files` work from what the Hub tells of the revision and download nothing. `lm-eval`
downloads the revision; see [write a task](../howto/write-a-task.md).
"""


def commands() -> Iterator[tuple[str, Any]]:
    """Every command that can be called, with its words ("checks show")."""
    yield from _below("", typer.main.get_command(app))


def _below(words: str, command: Any) -> Iterator[tuple[str, Any]]:
    inner = getattr(command, "commands", None)
    if inner is None:
        yield words, command
        return
    for name, each in inner.items():
        yield from _below(f"{words} {name}".strip(), each)


def commands_page() -> str:
    """docs/reference/commands.md."""
    return "\n".join([COMMANDS_HEAD, *(_command(words, each) for words, each in commands())])


def _command(words: str, command: Any) -> str:
    shown = [p for p in command.params if not getattr(p, "hidden", False)]
    arguments = [p for p in shown if p.param_type_name == "argument"]
    usage = " ".join(["proctor", words, *(_argument(a) for a in arguments)])
    lines = [f"## `{usage}`", "", inspect.cleandoc(command.help)]
    lines += ["", "| | | default |", "|---|---|---|"]
    lines += [_row(f"`{_argument(a)}`", a) for a in arguments]
    lines += [
        _row(", ".join(f"`{name}`" for name in o.opts), o)
        for o in shown
        if o.param_type_name == "option"
    ]
    return "\n".join(lines) + "\n"


def _argument(argument: Any) -> str:
    name = str(argument.metavar or argument.name.upper())
    return name if argument.required or name.startswith("[") else f"[{name}]"


def _row(name: str, parameter: Any) -> str:
    default = parameter.default
    if callable(default):
        told = "the user's name"
    else:
        told = "" if default is None or isinstance(default, bool) else f"`{default}`"
    return f"| {name} | {parameter.help or ''} | {told} |"


def checks_page() -> str:
    """docs/reference/checks.md."""
    known = plugins.checks()
    return "\n".join([CHECKS_HEAD, *(_check(name, known[name]) for name in BUILT_IN)])


def _check(name: str, factory: Any) -> str:
    lines = [f"## `{name}`", "", plugins.documentation(factory), ""]
    metrics: Mapping[str, str] = plugins.metrics_of(factory) or {}
    if metrics:
        lines += ["| metric | |", "|---|---|"]
        lines += [f"| `{name}/{metric}` | {meaning} |" for metric, meaning in metrics.items()]
        lines.append("")
    lines += ["| parameter | default | |", "|---|---|---|"]
    model: type[BaseModel] = factory.Parameters
    for field, info in model.model_fields.items():
        default = info.get_default(call_default_factory=True)
        told = "required" if info.is_required() else f"`{_yaml(default)}`"
        lines.append(f"| `{info.alias or field}` | {told} | {info.description or ''} |")
    return "\n".join(lines) + "\n"


def _yaml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "unset" if value is None else str(value)


PAGES: Final[Mapping[str, Callable[[], str]]] = {
    "commands.md": commands_page,
    "checks.md": checks_page,
}
"""Pages of docs/reference, and what writes them."""

if __name__ == "__main__":
    for page, write in PAGES.items():
        (FOLDER / page).write_text(write(), encoding="utf-8")
