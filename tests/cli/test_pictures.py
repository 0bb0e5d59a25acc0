"""How facts are drawn that no record in a test can hold still."""

from __future__ import annotations

import time
from typing import Any

import pytest

from proctor.cli import pictures

RUN = {
    "id": "r1",
    "pipeline": "chat",
    "status": "planned",
    "reason": "",
    "created_at": time.time(),
    "checks": [],
    "verdict": None,
    "promotions": [],
    "notices": [],
}


def drawn(capsys: pytest.CaptureFixture[str], *, begins_at: float, error: str | None) -> str:
    step: dict[str, Any] = {"kind": "sync", "state": "ready", "due_at": begins_at, "error": error}
    run = {**RUN, "begins_at": begins_at, "steps": [step]}
    pictures.why(
        {
            "repo": "acme/bot",
            "revision": "a" * 40,
            "head": "a" * 40,
            "stages": {},
            "events": [],
            "runs": [run],
            "holds": [],
        }
    )
    return " ".join(capsys.readouterr().out.split())


def test_a_run_that_waits_for_more_pushes_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    begins = time.time() + 60
    out = drawn(capsys, begins_at=begins, error=None)
    at = pictures.when(begins)
    assert f"begins at {at}: it overtook a push, and more may follow" in out
    assert f"sync begins at {at}" in out
    out = drawn(capsys, begins_at=time.time() - 1, error=None)
    assert "more may follow" not in out
    assert "sync waits for a worker since" in out


def test_a_step_that_failed_is_tried_again(capsys: pytest.CaptureFixture[str]) -> None:
    begins = time.time() + 60
    out = drawn(capsys, begins_at=begins, error="the Hub answered 503")
    assert f"sync is tried again at {pictures.when(begins)}; the last try: the Hub" in out
