"""rerun, promote, rollback, release: what a person may ask for."""

from __future__ import annotations

from typing import Annotated

import typer

from proctor.cli import attendance
from proctor.cli.session import opened, show_json, who
from proctor.core.errors import Refused
from proctor.flow.ask import Asked
from proctor.wiring import Wiring

Repo = Annotated[str, typer.Argument(metavar="REPO", help='"org/name", as on the Hub.')]
Target = Annotated[
    str, typer.Argument(metavar="REPO@SHA", help="A repo and a commit; a short sha is enough.")
]
StageName = Annotated[str, typer.Argument(metavar="STAGE", help="A stage of proctor.yaml.")]
By = Annotated[
    str,
    typer.Option(
        "--by",
        metavar="NAME",
        help="Who asks, for the record; default: your user name.",
        default_factory=who,
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print facts as JSON.")]


def split_target(target: str) -> tuple[str, str | None]:
    """ "org/name@sha" -> (name, sha); without a sha: None."""
    repo, _, revision = target.partition("@")
    return repo, revision.lower() or None


def rerun(
    target: Annotated[
        str,
        typer.Argument(
            metavar="REPO[@SHA]",
            help="What to run; without a sha: the newest run's, or else the head.",
        ),
    ],
    by: By,
    pipeline: Annotated[
        str | None, typer.Option(metavar="NAME", help="Which pipeline, where several match.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run a pipeline over the head that it looks at: again, or for the first time.

    Useful after a check errored, when the gate changed, or when a pipeline is new or has another
    name. A run that does another again names it. Workers know a new pipeline once they were
    restarted.
    """
    repo, revision = split_target(target)
    with opened() as wiring:
        asked = wiring.ask.rerun(repo, revision, pipeline, by)
        _told(wiring, asked, as_json, "run", f"Run {asked.id} started; see: proctor why {target}")


def promote(target: Target, stage: StageName, by: By, as_json: AsJson = False) -> None:
    """Point a stage at a revision that passed.

    Refused unless the gate as it stands passed exactly this revision, and it has been in the
    stages before. Where several pipelines match, all that promote to the stage must have passed it
    (where none does: all that match). Nobody, whatever their rights, can promote what was not
    proven.
    """
    repo, revision = split_target(target)
    if revision is None:
        raise Refused(f"which revision? for example: proctor promote {repo}@SHA {stage}")
    with opened() as wiring:
        asked = wiring.ask.promote(repo, revision, stage, by)
        done = f"Promotion {asked.id} to {stage} is on its way; see: proctor why {target}"
        _told(wiring, asked, as_json, "promotion", done)


def rollback(
    repo: Repo,
    stage: StageName,
    by: By,
    to: Annotated[
        str | None,
        typer.Option(metavar="SHA", help="The sha to go back to; default: the one before."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Point a stage back at a revision that passed into it before.

    What a person put there by hand is none of these, nor what was there before Proctor: no verdict
    speaks for it. Runs that are open, and will move the stage on when they pass, are named.
    """
    with opened() as wiring:
        asked = wiring.ask.rollback(repo, stage, to, by)
        done = f"Rollback {asked.id} of {stage} is on its way; see: proctor status"
        if asked.said:
            done += f"\nThis will not last: {asked.said}."
        _told(wiring, asked, as_json, "promotion", done)


def release(
    repo: Repo,
    stage: StageName,
    by: By,
    accept: Annotated[
        bool, typer.Option("--accept", help="Keep the tag where the person put it.")
    ] = False,
    restore: Annotated[
        bool, typer.Option("--restore", help="Go on: put the tag where Proctor decided.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Settle a hold: a tag that a person moved is never overwritten until someone says so."""
    if accept == restore:
        raise typer.BadParameter("say either --accept or --restore")
    with opened() as wiring:
        asked = wiring.ask.release(repo, stage, accept, by)
        said = f": {asked.said}" if asked.said else ""
        done = f"The hold on {stage} of {repo} is settled{said}; see: proctor status"
        _told(wiring, asked, as_json, "hold", done)


def _told(wiring: Wiring, asked: Asked, as_json: bool, what: str, text: str) -> None:
    woken = [wiring.queue.wake(step) for step in asked.wake]
    if as_json:
        show_json({what: asked.id} | ({"said": asked.said} if asked.said else {}))
        return
    typer.echo(text)
    if not all(woken):
        typer.echo("The broker does not answer now; the sweep will start it.", err=True)
    if asked.wake and (nobody := attendance.missing(wiring)):
        typer.echo(nobody, err=True)
