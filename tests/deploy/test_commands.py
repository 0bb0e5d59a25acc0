"""Every command line of the deploy files exists, starts, lives and stops."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from tests.ports import free_port

PROCTOR = [sys.executable, "-m", "proctor"]

PIPELINES = """
stages: [{name: staging}]
pipelines:
  - name: models
    match: {type: model, repo: "acme/*"}
    checks: [{use: card, with: {require: [license]}}]
    gate: [{metric: card/missing_keys, at_most: 0}]
    promote: [staging]
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """An embedded installation in a folder of its own, with secrets as files."""
    (tmp_path / "proctor.yaml").write_text(PIPELINES, encoding="utf-8")
    (tmp_path / "secrets").write_text("a-made-up-secret\n", encoding="utf-8")
    port = free_port()
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PROCTOR_", "HF_"))}
    return kept | {
        "PROCTOR_HOME": str(tmp_path / "home"),
        "PROCTOR_CONFIG": str(tmp_path / "proctor.yaml"),
        "PROCTOR_WEBHOOK_SECRETS_FILE": str(tmp_path / "secrets"),
        "HF_ENDPOINT": "http://127.0.0.1:9",  # nothing is asked of the Hub
        "PORT": str(port),
    }


def alive(arguments: tuple[str, ...], environment: dict[str, str]) -> bool:
    """What the health check of the part asks."""
    if arguments[0] == "web":
        try:
            url = f"http://127.0.0.1:{environment['PORT']}/healthz"
            with urllib.request.urlopen(url, timeout=10) as answer:
                return bool(answer.status == 200)
        except OSError:  # URLError is one, and so is what comes too late
            return False
    name = arguments[0]
    if name == "worker":
        name += "-" + arguments[arguments.index("--queues") + 1]
    return (Path(environment["PROCTOR_HOME"]) / "alive" / name).exists()


def test_every_option_is_known(arguments: tuple[str, ...]) -> None:
    done = subprocess.run([*PROCTOR, *arguments, "--help"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for option in arguments:
        assert not option.startswith("--") or option in done.stdout


def test_it_starts_lives_and_stops(
    arguments: tuple[str, ...],
    environment: dict[str, str],
    tmp_path: Path,
) -> None:
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*PROCTOR, *arguments], env=environment, cwd=tmp_path, stdout=output, stderr=output
        )
    try:
        until = time.monotonic() + 120
        while not alive(arguments, environment):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0, log.read_text()
    finally:
        process.kill()
        process.wait()
    said = log.read_text()
    assert "Traceback" not in said
    assert "a-made-up-secret" not in said
