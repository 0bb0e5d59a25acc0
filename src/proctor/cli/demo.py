"""demo: the whole walk on one machine, with a real model and a real eval."""

from __future__ import annotations

import os
import secrets
import shlex
import shutil
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from proctor.cli.pictures import STYLES, console
from proctor.core.errors import Refused

if TYPE_CHECKING:
    # Imported where it is used: it brings the local Hub and its client, and every command, the
    # receiver too, imports this module.
    from proctor.cli.stage import Show, Watched

REPO: Final = "acme/sums"

PUSHES: Final = (
    ("weak", "a model that has hardly learned", "to be held: it guesses"),
    ("good", "the model, trained", "to reach staging, then prod"),
    ("regressed", "the model after a bad merge", "to be held, while prod stays"),
)
"""Checkpoint, what it is, and what should become of it."""

LONGEST_WAIT: Final = 180.0
"""Seconds that one push may take."""


def demo(
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave everything running at the end, until Ctrl-C.")
    ] = False,
    folder: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Where the demo lives; emptied at the start.")
    ] = Path(".demo"),
    fixtures: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="The project's fixtures; default: found by itself."),
    ] = None,
) -> None:
    """See it work: three pushes of a tiny real model to a small Hub on this machine.

    A weak one is held, a good one goes to staging and then prod, a regressed one is held and prod
    stays. The evals are real: lm-eval on exactly the pushed commit. Nothing leaves this machine.
    """
    from proctor.cli.stage import open_show

    for ending in (signal.SIGTERM, signal.SIGHUP):  # a closed terminal ends it as Ctrl-C does
        signal.signal(ending, _interrupt)
    found = _fixtures(fixtures)
    _empty(folder)
    out = console()
    out.print("[bold]Proctor demo[/]: a push sits an exam; only what passes moves on.\n")
    with open_show(folder.resolve(), found, REPO, secrets.token_urlsafe(16)) as show:
        out.print(f"  local Hub  {show.hub_url}")
        out.print(f"  proctor    {show.web_url}  (state and logs: {folder})")
        out.print(f"  webhook    registered for {REPO.split('/')[0]}\n")
        watched = [_push(out, show, found, *push) for push in PUSHES]
        _conclude(out, show, watched)
        good = all(w.as_expected for w in watched)
        if not good:
            out.print(f"[red]Not as expected.[/] What happened is in {folder}/proctor.log")
        _advise(out, show, watched, found / "checkpoints" / "good" if keep else None)
        if keep and good:
            show.wait()
    raise typer.Exit(0 if good else 1)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _push(
    out: Console, show: Show, fixtures: Path, checkpoint: str, what: str, expected: str
) -> Watched:
    out.print(f"[bold]push[/] {checkpoint}: {what} ({expected})")
    began = time.monotonic()
    revision = show.push(fixtures / "checkpoints" / checkpoint, f"Add {what}")
    out.print(f"  {0:5.1f} s  {revision[:8]} is the head of main")
    from proctor.cli.stage import Watched

    watched = Watched(checkpoint, revision, status="promoted" if checkpoint == "good" else "held")
    with out.status("waiting for the webhook") as spinner:
        for seconds, line, waiting in show.follow(watched, began, LONGEST_WAIT):
            if line:
                out.print(f"  {seconds:5.1f} s  {escape(line)}")
            spinner.update(f"{waiting} ({seconds:.0f} s)")
    out.print()
    return watched


def _conclude(out: Console, show: Show, watched: list[Watched]) -> None:
    tags = show.tags()
    table = Table(title="What happened", title_justify="left", box=None, pad_edge=False)
    for column in ("push", "revision", "ended", "tags on the Hub", "push to verdict"):
        table.add_column(column, no_wrap=True)
    for each in watched:
        here = ", ".join(sorted(t for t, sha in tags.items() if sha == each.revision)) or "-"
        took = f"{each.verdict_after:.1f} s" if each.verdict_after else "-"
        ended = Text(each.reached, STYLES.get(each.reached, ""))
        table.add_row(each.name, each.revision[:8], ended, here, took)
    out.print(table)
    out.print("\n[bold]Why[/]")
    reasons = Table.grid(padding=(0, 2))
    for each in watched:
        reasons.add_row(f"  {each.name}", Text(each.why))
    out.print(reasons)
    out.print()


def _advise(out: Console, show: Show, watched: list[Watched], pushed: Path | None) -> None:
    head = (
        "Try, in another terminal:" if pushed else "Everything is stopped; the record stays. Try:"
    )
    out.print(head, style="bold")
    for line in hints(show.variables(), [each.revision for each in watched], pushed):
        out.print(f"  {line}", soft_wrap=True, markup=False)
    if pushed:
        out.print("\nCtrl-C stops everything.", style="bold")


def hints(
    variables: Mapping[str, str], revisions: Sequence[str], pushed: Path | None
) -> Sequence[str]:
    """What to paste into a shell, in any working folder. `pushed`: a folder to push, where the
    Hub goes on."""
    exported = " ".join(f"{name}={shlex.quote(value)}" for name, value in variables.items())
    proctor = _command("proctor")
    lines = [f"export {exported}"]
    lines += [f"{proctor} why {REPO}@{revision[:8]}" for revision in revisions]
    lines.append(f"{proctor} status")
    if pushed is None:
        return [*lines, "make demo ARGS=--keep     # leaves the Hub and Proctor running"]
    upload = f"{_command('hf')} upload {REPO} {shlex.quote(str(pushed))} ."
    return [
        *lines,
        f"{proctor} doctor",
        f"{upload}     # or a folder of your own",
        f"{proctor} why {REPO}",
    ]


def _command(name: str) -> str:
    """A command of this environment, as a shell finds it: by its path, where another one or none
    is on PATH."""
    ours = Path(sys.executable).with_name(name)
    found = shutil.which(name)
    if not ours.exists() or (found and Path(found).resolve() == ours.resolve()):
        return name
    return shlex.quote(str(ours))


def _fixtures(given: Path | None) -> Path:
    """The project's fixtures: given, below the working folder, or beside the source."""
    source = Path(__file__).resolve().parents[3]
    tried = [given] if given else [Path("fixtures").resolve(), source / "fixtures"]
    for folder in tried:
        if all((folder / "checkpoints" / name).is_dir() for name, _, _ in PUSHES):
            return folder.resolve()
    raise Refused(
        "the demo's checkpoints are not here: run it in a checkout of the project, or say where "
        "they are with --fixtures"
    )


def _empty(folder: Path) -> None:
    marker = folder / ".proctor-demo"
    try:
        if folder.exists() and any(folder.iterdir()) and not marker.exists():
            raise Refused(
                f"{folder} is not empty and not from a demo; choose another with --folder"
            )
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        marker.write_text(f"made by proctor demo, process {os.getpid()}\n")
    except OSError as error:
        said = error.strerror or error
        raise Refused(f"{folder} cannot be used ({said}); choose another with --folder") from error
