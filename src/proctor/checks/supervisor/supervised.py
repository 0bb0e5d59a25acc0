"""The asker's side: run a command under a supervisor and wait for its end."""

from __future__ import annotations

import contextlib
import json
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from proctor.checks.supervisor.ending import end_recorded, identity_of_self
from proctor.checks.supervisor.record import MARK, OUTCOME, RECORD, Record, boot_id, read
from proctor.checks.supervisor.strays import adopt, end_strays

LOG: Final = "output.log"
"""What the command said, in the folder of `run`: the beginning and the end of it."""

_TICK_S = 0.1
_END_S = 15.0  # the supervisor needs at most grace + giving up, and a bit


class Why(StrEnum):
    """Why a supervised command ended."""

    EXITED = "exited"
    STOPPED = "stopped"
    TIME_LIMIT = "time limit"
    OWNER_GONE = "owner gone"
    SUPERVISOR_DIED = "supervisor died"


@dataclass(frozen=True, slots=True)
class Ending:
    """How it ended. `returncode` is negative for a signal, None when it is not known; `seconds`
    is wall-clock time."""

    why: Why
    returncode: int | None
    seconds: float


def run(
    command: Sequence[str],
    *,
    folder: Path,
    environment: Mapping[str, str],
    request: str,
    time_limit: float,
    stop: Callable[[], bool],
    tick: Callable[[], None] = lambda: None,
) -> Ending:
    """Run `command` in `folder`, with `request` on its stdin and nothing but `environment`.

    Returns when nothing of it runs any more: it exited, `time_limit` seconds went by, or `stop()`
    turned true. `tick()` is called about ten times a second meanwhile. The output is in
    `folder / LOG`, secrets must not be in `request`: it is not kept, but it is not guarded either.
    """
    mark = secrets.token_hex(16)
    owner = identity_of_self()
    began = time.monotonic()
    Record(mark, boot_id(), owner).write(folder)
    order = {
        "command": list(command),
        "cwd": str(folder),
        "folder": str(folder),
        "mark": mark,
        "owner": asdict(owner),
        "log": LOG,
        "request": request,
        "time_limit": time_limit,
    }
    with (folder / "supervisor.log").open("wb") as said:
        supervisor = subprocess.Popen(
            [sys.executable, "-P", "-m", "proctor.checks.supervisor"],
            cwd=folder,
            env={**environment, MARK: mark},
            stdin=subprocess.PIPE,
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
        adopt(supervisor.pid)
        try:
            assert supervisor.stdin is not None
            with contextlib.suppress(BrokenPipeError):
                supervisor.stdin.write(json.dumps(order).encode() + b"\n")
                supervisor.stdin.flush()
            _wait(supervisor, began + time_limit + _END_S, stop, tick)
        finally:
            try:
                _close(supervisor, folder)
            finally:
                end_strays(supervisor.pid)
    return _ending(folder, time.monotonic() - began)


def _wait(
    supervisor: subprocess.Popen[bytes],
    deadline: float,
    stop: Callable[[], bool],
    tick: Callable[[], None],
) -> None:
    while supervisor.poll() is None and time.monotonic() < deadline:
        if stop():
            return
        tick()
        time.sleep(_TICK_S)


def _close(supervisor: subprocess.Popen[bytes], folder: Path) -> None:
    """Close stdin, which ends it all; what the supervisor cannot end any more, we do."""
    if supervisor.stdin is not None:
        with contextlib.suppress(BrokenPipeError):
            supervisor.stdin.close()
    try:
        supervisor.wait(_END_S)
    except subprocess.TimeoutExpired:
        supervisor.kill()
        supervisor.wait()
    record = read(folder / RECORD)
    if record is not None:
        end_recorded(record)
        (folder / RECORD).unlink(missing_ok=True)


def _ending(folder: Path, seconds: float) -> Ending:
    try:
        told = json.loads((folder / OUTCOME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return Ending(Why.SUPERVISOR_DIED, None, seconds)
    return Ending(Why(told["why"]), told["returncode"], float(told["seconds"]))
