"""The receiver as a process: told to stop at the worst moment."""

from __future__ import annotations

import subprocess
import sys

import pytest

TERM_AT_ONCE = """
import os, signal, sys
from starlette.applications import Starlette
from proctor.web import serve
if sys.argv[1] == "bound":
    ready = lambda port: os.kill(os.getpid(), signal.SIGTERM)
    app = Starlette()
else:
    ready = None
    async def app(scope, receive, send):
        os.kill(os.getpid(), signal.SIGTERM)
        await Starlette()(scope, receive, send)
serve.serve(app, "127.0.0.1", 0, has_secret=True, ready=ready)
print("in order")
"""


@pytest.mark.parametrize("moment", ["bound", "starting"])
def test_told_to_stop_while_it_starts_it_stops(moment: str) -> None:
    """Between our own signal handlers and uvicorn's no signal may get lost."""
    ended = subprocess.run(
        [sys.executable, "-c", TERM_AT_ONCE, moment],
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    )
    assert ended.stdout == "in order\n"
