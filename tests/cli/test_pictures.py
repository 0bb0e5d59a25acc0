"""How facts are drawn that no record in a test can hold still."""

from __future__ import annotations

import time
from typing import Any

import pytest

from proctor.cli import pictures

RUN: dict[str, Any] = {
    "id": "r1",
    "pipeline": "chat",
    "status": "planned",
    "reason": "",
    "event": None,
    "created_at": time.time(),
    "checks": [],
    "verdict": None,
    "promotions": [],
    "notices": [],
}


def drawn(capsys: pytest.CaptureFixture[str], *, begins_at: float, error: str | None) -> str:
    step: dict[str, Any] = {"kind": "sync", "state": "ready", "due_at": begins_at, "error": error}
    return why(capsys, {"begins_at": begins_at, "steps": [step]})


def why(capsys: pytest.CaptureFixture[str], facts: dict[str, Any]) -> str:
    run = {**RUN, "begins_at": 0, "steps": [], **facts}
    pictures.why(
        {
            "repo": "acme/bot",
            "revision": "a" * 40,
            "head": "a" * 40,
            "stages": {},
            "events": [],
            "runs": [run],
            "promotions": [],
            "holds": [],
        }
    )
    return " ".join(capsys.readouterr().out.replace("│", "").split())


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


OPERATION = {"kind": "create", "tag": "prod", "revision": "b" * 40, "at": 0}
PROMOTION = {
    "id": "p1",
    "stage": "prod",
    "cause": "verdict",
    "by": "gate",
    "status": "held",
    "reason": "",
    "ended_at": 1,
}


@pytest.mark.parametrize(
    ("operation", "ended_at", "alarms", "said"),
    [
        ({"seen_at": None, "echoed": False}, 1, (), "bbbbbbbb: asked, not seen on the Hub"),
        ({"seen_at": None, "echoed": False}, None, (), "asked, not seen on the Hub yet"),
        ({"seen_at": 2, "echoed": False}, 1, ("p1",), "done, but its webhook did not come back"),
        ({"seen_at": 2, "echoed": False}, 1, ("p2",), None),
        ({"seen_at": None, "echoed": True}, 1, (), None),
        ({"seen_at": 2, "echoed": True}, 1, ("p1",), None),
    ],
)
def test_what_became_of_a_journaled_operation(
    capsys: pytest.CaptureFixture[str],
    operation: dict[str, Any],
    ended_at: float | None,
    alarms: tuple[str, ...],
    said: str | None,
) -> None:
    promotion = {**PROMOTION, "ended_at": ended_at, "operations": [{**OPERATION, **operation}]}
    notices = [{"kind": "echo.missing", "subject": p, "state": "sent"} for p in alarms]
    out = why(capsys, {"promotions": [promotion], "notices": notices})
    if said is None:
        assert "bbbbbbbb" in out
        assert "not seen" not in out and "webhook" not in out
    else:
        assert said in out


def test_what_others_wrote_does_not_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert "\\x1b[2Jgone" in why(capsys, {"reason": "\x1b[2Jgone"})


def test_a_pipe_gets_whole_lines_and_a_width_that_is_asked_for_is_kept(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    reason = "a reason of many words " * 20 + "end"
    monkeypatch.delenv("COLUMNS", raising=False)
    pictures.console().print(reason)
    assert capsys.readouterr().out == f"{reason}\n"
    monkeypatch.setenv("COLUMNS", "80")
    pictures.console().print(reason)
    assert all(len(line) <= 80 for line in capsys.readouterr().out.splitlines())


def test_a_step_that_runs_says_where(capsys: pytest.CaptureFixture[str]) -> None:
    step = {"kind": "check", "state": "running", "due_at": 0, "error": None, "worker": "vm/2"}
    assert "check runs on vm/2" in why(capsys, {"steps": [step]})


def test_a_sweep_is_drawn_without_what_steers_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    drift = {"hub": "h", "reached": True, "heads": 0, "looks": 0}
    drift |= {"missed": ["acme/\x1b[2J"], "trouble": ["the Hub answered 418: \x1b]0;mine\x07"]}
    pictures.swept({"reclaimed": 0, "woken": 0, "orphans": 0, "alarms": 0, "drift": drift})
    said = capsys.readouterr().out
    assert r"acme/\x1b[2J" in said
    assert r"418: \x1b]0;mine\x07" in said
