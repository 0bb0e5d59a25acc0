"""lint, and checks show: proctor.yaml and what may stand in it."""

from __future__ import annotations

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
from proctor.config import ConfigError
from proctor.core.errors import Refused

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
    as_json: Annotated[bool, typer.Option("--json", help="Print facts as JSON.")] = False,
) -> None:
    """Check proctor.yaml: every problem at once, with file, line and remedy."""
    with opened(config) as wiring:
        try:
            rules = wiring.rules
        except ConfigError as error:
            if as_json:
                show_json(
                    {
                        "problems": [
                            {
                                "file": str(p.file),
                                "line": p.line or None,
                                "column": p.column or None,
                                "problem": p.problem,
                                "remedy": p.remedy,
                            }
                            for p in error.problems
                        ]
                    }
                )
            else:
                typer.echo(str(error), err=True)
            raise typer.Exit(1) from None
        if as_json:
            show_json({"problems": []})
            return
        typer.echo(f"{wiring.settings.config}: good")
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
        out.print(Padding(Text(f"{field} ({needed})"), (0, 0, 0, 2)))
        out.print(Padding(Text(about.description or ""), (0, 0, 0, 6)))
