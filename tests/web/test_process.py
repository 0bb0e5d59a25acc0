"""The receiver as a process: told to stop at the worst moment."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.bench.contenders import post, proctor

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


WIRED = """
import os, sys
from proctor.settings import Settings
from proctor.wiring import Wiring
import proctor.web.serve
Wiring(Settings.from_environment(os.environ)).web()
heavy = ("torch", "lm_eval", "datasets", "transformers", "celery.worker", "celery.apps.worker",
         "huggingface_hub", "numpy", "apprise")
print([name for name in heavy if name in sys.modules])
"""


def test_the_wired_receiver_imports_no_worker(tmp_path: Path) -> None:
    found = subprocess.run(
        [sys.executable, "-c", WIRED],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": os.environ["PATH"], "PROCTOR_HOME": str(tmp_path)},
    )
    assert found.stdout == "[]\n"


def test_the_receiver_as_it_is_deployed_is_small(tmp_path: Path) -> None:
    """What the process takes from the machine is its own memory; libraries that the worker has
    mapped too come once for both."""
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    with proctor("small", tmp_path, url, f"filesystem://{tmp_path / 'broker'}") as server:
        for n in range(200):
            assert post(server.port, n) == 202
        memory = server.memory()
    assert memory["own_mb"] < 80
    assert memory["rss_mb"] < 100
