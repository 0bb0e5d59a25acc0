"""A worker's environment holds the write token; an eval of the same user must not read it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import proctor

HIDE = "from proctor.checks.supervisor.kernel import hide_memory; hide_memory()"
TELL = "import ctypes, sys; print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), flush=True)"
WAIT = "sys.stdin.read()"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks a favour of Linux")
@pytest.mark.parametrize("hide", [True, False], ids=["hidden", "as usual"])
def test_same_user_cannot_read_the_environment(hide: bool) -> None:
    code = "; ".join([HIDE, TELL, WAIT] if hide else [TELL, WAIT])
    environment = {**os.environ, "HF_TOKEN": "hf_" + "a" * 20}
    with subprocess.Popen(
        [sys.executable, "-c", code],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == ("0\n" if hide else "1\n")  # PR_GET_DUMPABLE
        readable = os.access(f"/proc/{worker.pid}/environ", os.R_OK)
        if os.geteuid() != 0:  # root may read everything
            assert readable is not hide
        worker.communicate(timeout=60)


@pytest.mark.parametrize("command", ["up", "web", "worker", "sweep"])
def test_every_part_hides_its_memory(command: str) -> None:
    """Each begins with `_begin`, which hides it, before anything is started."""
    source = (Path(proctor.__path__[0]) / "cli" / "serving.py").read_text()
    body = source.split(f"def {command}(", 1)[1].split("\ndef ", 1)[0]
    assert "_begin(wiring" in body
    assert "hide_memory()" in source.split("def _begin(", 1)[1]
