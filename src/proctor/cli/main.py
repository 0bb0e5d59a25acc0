"""The table of contents of the command."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

import proctor
from proctor.cli import asking, backup, deliveries, demo, doctor, lint, localhub, looking, serving
from proctor.cli.plain import PlainCommand, PlainGroup
from proctor.core.errors import ProctorError
from proctor.core.harmless import harmless
from proctor.core.secret import redact

RUN, LOOK, DECIDE, TRY = "Run it", "Look", "Decide", "Set up and try out"

app = typer.Typer(
    name="proctor",
    cls=PlainGroup,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    help=(
        "Continuous delivery for models on the Hugging Face Hub: a push sits an exam; only what "
        "passes moves on.\n\n"
        "New here? `proctor demo` shows the whole walk on your own machine; `proctor doctor` "
        "says what is missing before you run it for real.\n\n"
        "Exit status: 0 done, 1 refused or failed, 2 misused."
    ),
)

app.command("up", cls=PlainCommand, rich_help_panel=RUN)(serving.up)
app.command("web", cls=PlainCommand, rich_help_panel=RUN)(serving.web)
app.command("worker", cls=PlainCommand, rich_help_panel=RUN)(serving.worker)
app.command("sweep", cls=PlainCommand, rich_help_panel=RUN)(serving.sweep)
app.command("backup", cls=PlainCommand, rich_help_panel=RUN)(backup.backup)
app.command("restore", cls=PlainCommand, rich_help_panel=RUN)(backup.restore)
app.command("status", cls=PlainCommand, rich_help_panel=LOOK)(looking.status)
app.command("runs", cls=PlainCommand, rich_help_panel=LOOK)(looking.runs)
app.command("why", cls=PlainCommand, rich_help_panel=LOOK)(looking.why)
app.command("deliveries", cls=PlainCommand, rich_help_panel=LOOK)(deliveries.deliveries)
app.command("rerun", cls=PlainCommand, rich_help_panel=DECIDE)(asking.rerun)
app.command("promote", cls=PlainCommand, rich_help_panel=DECIDE)(asking.promote)
app.command("rollback", cls=PlainCommand, rich_help_panel=DECIDE)(asking.rollback)
app.command("release", cls=PlainCommand, rich_help_panel=DECIDE)(asking.release)
app.command("lint", cls=PlainCommand, rich_help_panel=TRY)(lint.lint)
app.command("doctor", cls=PlainCommand, rich_help_panel=TRY)(doctor.doctor)
app.command("localhub", cls=PlainCommand, rich_help_panel=TRY)(localhub.localhub)
app.command("demo", cls=PlainCommand, rich_help_panel=TRY)(demo.demo)
app.add_typer(lint.checks, name="checks", rich_help_panel=TRY)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"proctor {proctor.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command; exits 0 when done, 1 when refused or failed, 2 when misused."""
    try:
        app(prog_name="proctor")
    except ProctorError as error:
        typer.echo(f"proctor: {harmless(redact(str(error)))}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
