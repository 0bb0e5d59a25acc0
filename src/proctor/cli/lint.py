"""lint, and checks show: proctor.yaml and what may stand in it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from proctor import plugins
from proctor.cli.pictures import console
from proctor.cli.plain import PlainCommand, PlainGroup
from proctor.cli.session import opened, show_json
from proctor.config import ConfigError, Problem, channels, tasks
from proctor.core.errors import Refused
from proctor.core.rule import Rules

checks = typer.Typer(
    cls=PlainGroup,
    invoke_without_command=True,
    help="What checks there are, and what each measures.",
)


@checks.callback()
def _checks(ctx: typer.Context) -> None:
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())


def lint(
    config: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE]", help="Default: PROCTOR_CONFIG, or proctor.yaml."),
    ] = None,
    no_tasks: Annotated[
        bool,
        typer.Option("--no-tasks", help="Do not ask lm-eval whether it knows the tasks."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print facts as JSON.")] = False,
) -> None:
    """Check proctor.yaml: every problem at once, with file, line and remedy.

    Where lm-eval is installed, it is asked whether it knows the tasks: a second for those in a
    folder of yours, ten for its own. Channels are built as for a notice; nothing is sent.
    """
    with opened(config) as wiring:
        not_checked = ""
        problems: Sequence[Problem] = ()
        try:
            rules = wiring.rules
        except ConfigError as error:
            problems = error.problems
        else:
            problems = channels.look(wiring.settings.config, rules)
            if not no_tasks:
                looked = tasks.look(wiring.settings.config)
                problems = [*problems, *looked.problems]
                not_checked = looked.not_checked
        if as_json:
            show_json({"problems": [_facts(p) for p in problems], "not_checked": not_checked})
        elif problems:
            typer.echo("\n".join(map(str, problems)), err=True)
        else:
            typer.echo(f"{wiring.settings.config}: good")
            _summary(rules)
        if not_checked and not as_json:
            typer.echo(f"  Whether the tasks of lm-eval exist was not checked: {not_checked}.")
        if problems:
            raise typer.Exit(1)


def _facts(problem: Problem) -> dict[str, object]:
    return {
        "file": problem.file,
        "line": problem.line or None,
        "column": problem.column or None,
        "problem": problem.problem,
        "remedy": problem.remedy,
    }


def _summary(rules: Rules) -> None:
    for pipeline in rules.pipelines:
        ran = ", ".join(c.name for c in pipeline.checks) or "no checks"
        to = " → ".join(pipeline.promote) or "no stage"
        count = len(pipeline.gate)
        criteria = f"{count} {'criterion' if count == 1 else 'criteria'}"
        typer.echo(
            f"  {pipeline.name}: {pipeline.match.type.value} {pipeline.match.repo} "
            f"{pipeline.match.ref}: {ran}; {criteria}; {to}"
        )


@checks.command("show", cls=PlainCommand)
def checks_show(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help="A check; without one: the list of all."),
    ] = None,
) -> None:
    """Show what a check measures and which parameters it takes."""
    catalogue, out = plugins.checks(), console()
    if name is None:
        table = Table.grid(padding=(0, 2))
        for each in catalogue:
            first = plugins.documentation(catalogue[each]).split("\n", 1)[0]
            table.add_row(each, Text(first))
        out.print(table)
        return
    try:
        factory = catalogue[name]
    except plugins.UnknownPlugin as error:
        raise Refused(str(error)) from error
    typer.echo(plugins.documentation(factory))
    typer.echo("\nParameters (`with:`):")
    for field, about in factory.Parameters.model_fields.items():
        needed = (
            "required"
            if about.is_required()
            else f"default {about.get_default(call_default_factory=True)!r}"
        )
        out.print(Padding(Text(f"{field} ({needed})"), (0, 0, 0, 2), expand=False))
        out.print(Padding(Text(about.description or ""), (0, 0, 0, 6), expand=False))
