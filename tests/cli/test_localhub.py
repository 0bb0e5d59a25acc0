"""localhub as a command: what it prints is enough to use it, and it keeps what it has."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import Popen
from typing import TYPE_CHECKING

import pytest
from huggingface_hub import HfApi

if TYPE_CHECKING:
    from tests.cli.conftest import Start, Until

pytestmark = pytest.mark.slow

Hub = tuple[Popen[str], HfApi]


@pytest.fixture
def serve(start: Start, until: Until, tmp_path: Path) -> Callable[[], Hub]:
    """Start one on the same folder, and use it as what it prints says."""
    log = tmp_path / "localhub.log"

    def one() -> Hub:
        log.unlink(missing_ok=True)
        environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
        process = start("localhub", "--folder", "hub", "--port", "0", environ=environ)
        until(lambda: "Stop it with Ctrl-C" in log.read_text(), "the welcome")
        said = re.search(r"export HF_ENDPOINT=(\S+) HF_TOKEN=(\S+)", log.read_text())
        assert said
        return process, HfApi(endpoint=said[1], token=said[2])

    return one


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_it_starts_stops_and_goes_on(serve: Callable[[], Hub], how: signal.Signals) -> None:
    process, api = serve()
    assert api.whoami()["name"] == "local"
    api.create_repo("acme/kept")
    process.send_signal(how)
    process.wait(120)
    again, later = serve()
    assert later.token == api.token
    assert later.repo_exists("acme/kept")
    again.terminate()
    again.wait(120)


def test_a_folder_is_served_once(serve: Callable[[], Hub], start: Start, tmp_path: Path) -> None:
    serve()
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    second = start("localhub", "--folder", "hub", "--port", "0", environ=environ)
    assert second.wait(120) == 1
    last = (tmp_path / "localhub.log").read_text().strip().splitlines()[-1]
    assert last == "proctor: another Local Hub is serving hub"


def test_what_it_says_to_try_works_in_an_empty_folder(
    serve: Callable[[], Hub], tmp_path: Path
) -> None:
    _, api = serve()
    said = (tmp_path / "localhub.log").read_text().partition("Try it:\n")[2]
    (empty := tmp_path / "empty").mkdir()
    tried = subprocess.run(
        ["sh", "-e", "-c", said.partition("To upload")[0].replace("To see", "# To see")],
        cwd=empty,
        env={"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(empty)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert tried.returncode == 0, tried.stderr
    assert api.file_exists("acme/demo", "hello.txt")
