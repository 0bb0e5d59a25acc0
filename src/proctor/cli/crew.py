"""A crew of child processes that live and stop together."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

log = logging.getLogger(__name__)

GRACE: Final = 35.0
"""Seconds from TERM to KILL; more than a worker's own grace."""

LONGEST_PAUSE: Final = 30.0
"""Seconds before a part that keeps dying is started again."""

STEADY: Final = 60.0
"""Seconds after which a part counts as running well."""


@dataclass(slots=True)
class _Part:
    name: str
    arguments: Sequence[str]
    child: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    deaths: int = 0
    again_at: float = 0.0


def run(parts: Mapping[str, Sequence[str]], environ: Mapping[str, str]) -> int:
    """Run `proctor` with each part's arguments until TERM or INT; returns the exit status.

    A part that dies is started again, after 1 s, 2 s, 4 s … 30 s while it keeps dying. The parts
    are leashed: they end when this process does, however it ends.
    """
    stop = threading.Event()
    previous = {
        each: signal.signal(each, lambda *_: stop.set()) for each in (signal.SIGTERM, signal.SIGINT)
    }
    crew = [_Part(name, arguments) for name, arguments in parts.items()]
    try:
        while not stop.wait(0.2):
            for part in crew:
                _keep(part, environ)
    finally:
        status = _dismiss(crew)
        for each, handler in previous.items():
            signal.signal(each, handler)
    return status


def _keep(part: _Part, environ: Mapping[str, str]) -> None:
    now = time.monotonic()
    if part.child is not None:
        status = part.child.poll()
        if status is None:
            return
        if now - part.started > STEADY:
            part.deaths = 0
        pause = min(LONGEST_PAUSE, 2.0**part.deaths)
        part.deaths += 1
        _let_go(part)
        part.again_at = now + pause
        log.error("%s ended with status %d; starting it again in %g s", part.name, status, pause)
    if now >= part.again_at:
        part.started = now
        part.child = subprocess.Popen(
            [sys.executable, "-m", "proctor", *part.arguments, "--leashed"],
            stdin=subprocess.PIPE,
            env=dict(environ),
            start_new_session=True,  # Ctrl-C reaches us alone; we stop them in order
        )


def _dismiss(crew: Sequence[_Part]) -> int:
    for part in crew:
        if part.child is not None and part.child.poll() is None:
            part.child.terminate()
    until, status = time.monotonic() + GRACE, 0
    for part in crew:
        if part.child is None:
            continue
        try:
            code = part.child.wait(max(0.1, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            log.error("%s does not stop: killed", part.name)
            part.child.kill()
            code = part.child.wait()
        # One that had hardly begun ends by the signal itself.
        status = status or (0 if code in (0, -signal.SIGTERM) else 1)
        _let_go(part)
    return status


def _let_go(part: _Part) -> None:
    if part.child is not None and part.child.stdin is not None:
        part.child.stdin.close()
    part.child = None
