"""What every command needs: settings, logging, and Proctor put together."""

from __future__ import annotations

import getpass
import json
import logging
import os
import sys
import time
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


def log_to_stderr(wiring: Wiring, role: str) -> None:
    """Log lines "12:00:01 web INFO …", free of every secret that this process holds."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Redacting(wiring, role))
    logging.basicConfig(level=wiring.settings.log_level, handlers=[handler], force=True)
    for chatty in ("httpx", "httpx2", "httpcore2", "alembic", "urllib3", "filelock"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    # Celery's own lines about messages say nothing that the ledger does not say better.
    logging.getLogger("celery").setLevel(logging.WARNING)


class _Redacting(logging.Formatter):
    def __init__(self, wiring: Wiring, role: str) -> None:
        super().__init__(f"%(asctime)s {role:<6} %(levelname)-7s %(message)s", datefmt="%H:%M:%S")
        self.converter = time.localtime
        self._wiring = wiring

    def format(self, record: logging.LogRecord) -> str:
        return self._wiring.redact(super().format(record))


def show_json(facts: object) -> None:
    """Facts for programs, on stdout."""
    typer.echo(json.dumps(facts, indent=2, ensure_ascii=True))


def who() -> str:
    """The person at the keyboard, for the record."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "someone"
