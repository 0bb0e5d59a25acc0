"""status, runs, why: what is on record, and the reasons."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.text import Text

from proctor.cli import attendance, pictures
from proctor.cli.asking import split_target
from proctor.cli.session import opened, show_json
from proctor.core.harmless import harmless
from proctor.flow import views
from proctor.flow.attendance import failing

AsJson = Annotated[bool, typer.Option("--json", help="Print facts as JSON.")]


def status(as_json: AsJson = False) -> None:
    """Every repo with its stages, what is going on, and what waits for a person."""
    with opened() as wiring:
        with wiring.ledger.view() as view:
            facts = views.status(view, wiring.rules, wiring.clock.now())
            channels = failing(view)
        nobody = attendance.missing(wiring)
        now = wiring.clock.now()
    if as_json:
        show_json({**facts, "failing_channels": [asdict(each) for each in channels]})
        return
    pictures.status(facts)
    for each in channels:
        pictures.console().print(Text(harmless(attendance.channel_told(each, now)), "yellow"))
    if nobody:
        pictures.console().print(Text(nobody, "yellow"))


def runs(
    repo: Annotated[
        str | None, typer.Argument(metavar="[REPO]", help="Of one repo; default: of all.")
    ] = None,
    limit: Annotated[int, typer.Option(metavar="N", min=1, help="How many.")] = 20,
    as_json: AsJson = False,
) -> None:
    """The newest runs and where they are."""
    with opened() as wiring, wiring.ledger.view() as view:
        facts = views.runs(view, repo, limit)
    if as_json:
        show_json(facts)
    else:
        pictures.runs(facts)


def why(
    target: Annotated[
        str,
        typer.Argument(metavar="REPO[@SHA]", help="A repo, or one of its commits (short is fine)."),
    ],
    verify: Annotated[
        bool,
        typer.Option(
            "--verify",
            help="Compute each verdict again from its recorded evidence; exits 1 if one differs.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Why a revision is where it is: events, checks, numbers, verdict, tag moves."""
    repo, revision = split_target(target)
    with opened() as wiring, wiring.ledger.view() as view:
        facts: dict[str, Any] = views.why(view, repo, revision, verified=verify)
    if as_json:
        show_json(facts)
    else:
        pictures.why(facts)
    if verify and not all(r["verified"]["same"] for r in facts["runs"] if r["verified"]):
        raise typer.Exit(1)
