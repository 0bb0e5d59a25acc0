"""backup, restore: the embedded state in one file, and back."""

from __future__ import annotations

import os
import shutil
import tarfile
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Final

import typer

from proctor.cli.archive import ARTIFACTS, CONFIG, LEDGER, Packer, require_begun, unpack
from proctor.cli.session import opened, show_json
from proctor.core.errors import ProctorError, Refused
from proctor.core.evidence import Json
from proctor.wiring import Wiring

ALIVE: Final = 60.0
"""Seconds: a part that touched its file below `alive` within them still runs."""

File = Annotated[Path, typer.Argument(metavar="FILE", help="The backup, a .tar.gz.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print facts as JSON.")]


def backup(file: File, as_json: AsJson = False) -> None:
    """Write the ledger, the kept files and the pipelines file into one archive.

    Safe while Proctor runs: the ledger is copied as it is at one moment. For the embedded state
    (SQLite); with PostgreSQL use pg_dump. The archive holds no secret; only its owner can read it.
    """
    with opened() as wiring:
        ledger = _ledger_file(wiring, "back it up with pg_dump")
        with _told(f"{file} cannot be written"):
            if file.exists():
                raise Refused(f"{file} exists: choose another name")
            if not ledger.is_file():
                raise Refused(f"there is no ledger at {ledger}: nothing ran here yet")
            facts = _pack(wiring, ledger, file)
    if as_json:
        show_json(facts)
        return
    typer.echo(f"{file}: {facts['bytes']} bytes; the ledger, {facts['artifacts']} kept files")
    if facts["blanked"]:
        typer.echo("Secrets in the pipelines file are *** in it. Write them as env:NAME.")


def restore(
    file: File,
    force: Annotated[
        bool, typer.Option("--force", help="Put what is in PROCTOR_HOME aside, and go on.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Bring back what a backup holds, into an empty PROCTOR_HOME, with Proctor stopped.

    Nothing is touched unless the archive is whole. The pipelines file is put where PROCTOR_CONFIG
    says if there is none, else into PROCTOR_HOME. Then start Proctor: the sweep finds the pushes
    since, and a tag that moved since is a hold.
    """
    from proctor.ledger.copy import prove

    with opened() as wiring:
        ledger = _ledger_file(wiring, "restore it with pg_restore")
        home = wiring.settings.home
        require_begun(file)
        _require_stopped(home)
        taken = _taken(home, ledger)
        if taken and not force:
            raise Refused(
                f"{taken[0]} is there: let PROCTOR_HOME name an empty folder, or put what is there "
                "aside with --force"
            )
        with _told(f"{home} cannot be written"):
            home.mkdir(parents=True, exist_ok=True)
            staging = Path(tempfile.mkdtemp(dir=home, prefix=".restoring-"))
            try:
                manifest = unpack(file, staging)
                if not (staging / LEDGER).is_file():
                    raise Refused(f"{file} holds no ledger")
                prove(staging / LEDGER)
                aside = _put_aside(taken, home)
                config = _place(wiring, staging, ledger)
            finally:
                shutil.rmtree(staging, ignore_errors=True)
    facts: dict[str, Json] = {
        "home": str(home),
        "made_at": manifest["made_at"],
        "artifacts": sum(name.startswith(f"{ARTIFACTS}/") for name in manifest["files"]),
        "config": str(config) if config else None,
        "aside": str(aside) if aside else None,
    }
    if as_json:
        show_json(facts)
        return
    typer.echo(f"{home} is as it was at {facts['made_at']}; {facts['artifacts']} kept files")
    for what, where in (("the pipelines file", config), ("what was there before", aside)):
        if where:
            typer.echo(f"{what}: {where}")
    typer.echo("Start Proctor again: the sweep finds what happened since.")


def _ledger_file(wiring: Wiring, remedy: str) -> Path:
    from proctor.ledger.copy import file_of

    ledger = file_of(wiring.settings.database_url.reveal())
    if ledger is None:
        raise Refused(
            f"the ledger is in PostgreSQL: {remedy}. Kept files are in {wiring.artifacts}: copy "
            "them as they are"
        )
    return ledger


def _pack(wiring: Wiring, ledger: Path, file: Path) -> dict[str, Json]:
    """The ledger first: what it tells of was on disk before."""
    from proctor.ledger.copy import copy, prove

    text, blanked = _config(wiring)
    with tempfile.TemporaryDirectory(dir=file.parent, prefix=f".{file.name}-") as folder:
        copied, packed = Path(folder) / LEDGER, Path(folder) / "packed"
        copy(ledger, copied)
        migration = prove(copied)
        descriptor = os.open(packed, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as sink:
            with tarfile.open(fileobj=sink, mode="w:gz", compresslevel=6) as tar:
                packer = Packer(tar)
                packer.add(LEDGER, copied)
                if text is not None:
                    packer.add_bytes(CONFIG, text.encode())
                packer.add_below(ARTIFACTS, wiring.artifacts)
                artifacts = sum(name.startswith(f"{ARTIFACTS}/") for name in packer.files)
                packer.close({"migration": migration})
            sink.flush()
            os.fsync(sink.fileno())
        packed.rename(file)
    return {
        "file": str(file),
        "bytes": file.stat().st_size,
        "artifacts": artifacts,
        "config": text is not None,
        "blanked": blanked,
    }


def _config(wiring: Wiring) -> tuple[str | None, bool]:
    """The pipelines file without secrets, and whether it had any."""
    try:
        text = wiring.settings.config.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None, False
    with suppress(ProctorError):
        _ = wiring.rules  # so that the secrets of its channels are known
    clean = wiring.redact(text)
    return clean, clean != text


def _require_stopped(home: Path) -> None:
    for alive in sorted((home / "alive").glob("*")):
        with suppress(FileNotFoundError):
            ago = time.time() - alive.stat().st_mtime
            if ago < ALIVE:
                raise Refused(
                    f"{alive.name} was alive {max(ago, 0):.0f} s ago: stop Proctor, wait a minute, "
                    "and try again"
                )


def _taken(home: Path, ledger: Path) -> Sequence[Path]:
    """What is where the backup goes."""
    inside = sorted(home.iterdir()) if home.is_dir() else []
    beside = [ledger.with_name(ledger.name + end) for end in ("", "-wal", "-shm")]
    return [*inside, *(p for p in beside if p.exists() and home not in p.parents)]


def _put_aside(taken: Sequence[Path], home: Path) -> Path | None:
    if not taken:
        return None
    aside = home / f"replaced-{time.strftime('%Y%m%d-%H%M%S')}"
    aside.mkdir()
    for path in taken:
        shutil.move(path, aside / path.name)
    return aside


def _place(wiring: Wiring, staging: Path, ledger: Path) -> Path | None:
    """Move what was unpacked to where it belongs, the ledger last; where the pipelines file
    went."""
    home, config, found = wiring.settings.home, wiring.settings.config, staging / CONFIG
    if (staging / ARTIFACTS).exists():
        (staging / ARTIFACTS).rename(home / ARTIFACTS)
    target: Path | None = None
    if found.exists():
        target = home / "proctor.yaml.restored" if config.exists() else config
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(found, target)
    ledger.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(staging / LEDGER, ledger)
    return target


@contextmanager
def _told(what: str) -> Iterator[None]:
    """A disk that refuses is told in one line."""
    try:
        yield
    except OSError as error:
        raise Refused(f"{what}: {error.strerror or error}") from None
