"""What every command needs: settings, logging, and Proctor put together."""

from __future__ import annotations

import getpass
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import typer

from proctor.settings import Settings
from proctor.wiring import Wiring


@contextmanager
def opened(config: Path | None = None) -> Iterator[Wiring]:
    """Proctor from the environment; `config` overrides PROCTOR_CONFIG. Raises SettingsError."""
    environ: Mapping[str, str] = os.environ
    if config is not None:
        environ = {**os.environ, "PROCTOR_CONFIG": str(config)}
    wiring = Wiring(Settings.from_environment(environ))
    try:
        yield wiring
    finally:
        wiring.close()


def show_json(facts: object) -> None:
    """Facts for programs, on stdout."""
    typer.echo(json.dumps(facts, indent=2, ensure_ascii=True))


def who() -> str:
    """The person at the keyboard, for the record."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "someone"
