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
        timeout=120,
        check=True,
    )
    assert ended.stdout == "in order\n"


RECEIVES = """
import os, sys
from proctor.cli import receiver
from proctor.web import serve
def stop(app, *_, **__):
    heavy = ("torch", "lm_eval", "datasets", "transformers", "celery.worker", "celery.apps.worker",
             "huggingface_hub", "numpy", "apprise", "sqlalchemy", "sqlmodel", "pydantic", "typer",
             "alembic", "proctor.config", "proctor.plugins")
    print([name for name in heavy if name in sys.modules])
serve.serve = stop
receiver.main("127.0.0.1", 0, leashed=False)
"""


def test_the_receiver_imports_no_more_than_it_needs(tmp_path: Path) -> None:
    found = subprocess.run(
        [sys.executable, "-c", RECEIVES],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": os.environ["PATH"], "PROCTOR_HOME": str(tmp_path)},
    )
    assert found.stdout == "[]\n"


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_the_receiver_as_it_is_deployed_is_small(
    engine: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """All that is resident, libraries shared with other processes too."""
    url, broker = f"sqlite:///{tmp_path / 'ledger.db'}", f"filesystem://{tmp_path / 'broker'}"
    if engine == "postgresql":
        url = request.getfixturevalue("postgres_url")
        broker = request.getfixturevalue("redis_url")
    with proctor("small", tmp_path, url, broker) as server:
        for n in range(200):
            assert post(server.port, n) == 202
        assert server.memory()["rss_mb"] < 80
