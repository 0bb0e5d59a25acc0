"""The receiver's process. `proctor web` looks that all is in order, and then becomes it.

A receiver has to be small, and most of what the command needs (its own library, the reading of
pipelines, migrations) is of no use to it. So nothing is imported here but what receives.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, NoReturn

from proctor.checks.supervisor.kernel import hide_memory
from proctor.cli.log import log_to_stderr
from proctor.core.errors import LedgerUnavailable, ProctorError
from proctor.core.harmless import harmless
from proctor.core.secret import redact
from proctor.settings import Settings
from proctor.wiring import Wiring

log = logging.getLogger(__name__)

BEAT: Final = 10.0
"""Seconds between two touches of the mark of a receiver."""


def become(host: str, port: int, *, leashed: bool) -> NoReturn:
    """Go on as the receiver: the same process, as small as if it had been started as one."""
    sys.stdout.flush()
    sys.stderr.flush()
    words = ["--host", host, "--port", str(port), *(["--leashed"] if leashed else [])]
    # -P: a file in the working folder must not pass for a module.
    os.execv(sys.executable, [sys.executable, "-P", "-m", "proctor.cli.receiver", *words])  # noqa: S606 - ourselves


def main(host: str, port: int, *, leashed: bool) -> None:
    """Receive until told to stop. Raises ProctorError when that cannot begin."""
    hide_memory()
    wiring = Wiring(Settings.from_environment(os.environ))
    log_to_stderr(wiring, "web")
    if leashed:
        stop_at_end_of_stdin()
    from proctor.web.serve import serve

    with suppress(LedgerUnavailable):  # it was there a moment ago, and deliveries are told if not
        wiring.intake.ping()  # which also sets our clock right
    alive = wiring.make_home() / "alive" / "web"
    over = threading.Event()
    keeper = threading.Thread(target=_touch, args=[alive, over], name="alive", daemon=True)
    keeper.start()
    try:
        serve(
            wiring.web(),
            host,
            port,
            has_secret=bool(wiring.settings.webhook_secrets),
            ready=lambda bound: log.info("listening on http://%s:%d", host, bound),
        )
    finally:
        wiring.close()
        over.set()
        keeper.join()


def _touch(alive: Path, over: threading.Event) -> None:
    """Leave a mark that a receiver runs here: what must not be done under it looks for that."""
    while not over.is_set():
        with suppress(OSError):
            alive.parent.mkdir(parents=True, exist_ok=True)
            alive.touch()
        over.wait(BEAT)
    with suppress(OSError):
        alive.unlink(missing_ok=True)


def stop_at_end_of_stdin() -> None:
    """Stop when whoever started us is gone, even by kill -9: the pipe ends then."""

    def watch() -> None:
        while os.read(0, 1024):  # not sys.stdin: its lock would be held at shutdown
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="leash", daemon=True).start()


def _asked(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="proctor web", add_help=False)
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", required=True, type=int)
    parser.add_argument("--leashed", action="store_true")
    return parser.parse_args(words)


if __name__ == "__main__":
    asked = _asked(sys.argv[1:])
    try:
        main(asked.host, asked.port, leashed=asked.leashed)
    except ProctorError as error:
        sys.exit(f"proctor: {harmless(redact(str(error)))}")
