"""The supervisor process. Reads one order (a JSON line) from stdin; stdin's end is its own end.

It starts the command in a process group of its own, hands it the request on stdin, keeps a
bounded log of what it says, and writes `outcome.json` when nothing of it is left. It ends the
command when the asker closes stdin or is gone, at the time limit, or when told to by a signal.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import FrameType
from typing import IO, Any, cast

from proctor.checks.supervisor.ending import GRACE_S, end, family, identity_of_self
from proctor.checks.supervisor.kernel import SUPERVISOR, adopt_orphans
from proctor.checks.supervisor.log import BoundedLog, drain
from proctor.checks.supervisor.record import MARK, OUTCOME, Identity, Record, boot_id, write_json
from proctor.checks.supervisor.strays import brand

_TICK_S = 0.05
_asked: list[int] = []


def main() -> int:
    """Entry point. Returns 0 when an outcome was written."""
    for name in ("SIGTERM", "SIGINT", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), _note)
    order = _order()
    if order is None:
        return 1  # the asker died before it said what to do
    folder, mark = Path(order["folder"]), str(order["mark"])
    adopt_orphans()
    brand()
    owner = Identity(**order["owner"])
    record = Record(mark, boot_id(), owner, supervisor=identity_of_self())
    record.write(folder)
    began = time.monotonic()
    log = BoundedLog(folder / order["log"])
    child = subprocess.Popen(
        order["command"],
        cwd=order["cwd"],
        env={**os.environ, MARK: mark, SUPERVISOR: str(os.getpid())},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        bufsize=0,
    )
    record.with_group(child.pid).write(folder)
    listener = threading.Thread(target=drain, args=(_open(child.stdout), log), daemon=True)
    listener.start()
    _hand_over(_open(child.stdin), str(order["request"]))  # it works only from here on
    why = _watch(child, began + float(order["time_limit"]), owner)
    seconds = time.monotonic() - began
    left = end(lambda: _rest(child, mark), GRACE_S)
    listener.join(timeout=1)
    log.close()
    outcome = {"why": why, "returncode": child.poll(), "seconds": seconds, "left": left}
    write_json(folder / OUTCOME, outcome)
    return 0


def _note(number: int, _frame: FrameType | None) -> None:
    _asked.append(number)


def _order() -> dict[str, Any] | None:
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(0, 1)  # unbuffered: select on stdin has to see what follows
        if not byte:
            return None
        line += byte
    return cast("dict[str, Any]", json.loads(line))


def _open(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None
    return stream


def _hand_over(stdin: IO[bytes], request: str) -> None:
    with contextlib.suppress(BrokenPipeError), stdin:
        stdin.write(request.encode())


def _watch(child: subprocess.Popen[bytes], deadline: float, owner: Identity) -> str:
    """Wait for the first reason to end, and return it."""
    parent = os.getppid()
    while True:
        if child.poll() is not None:
            return "exited"
        if _asked:
            return "stopped"
        if time.monotonic() > deadline:
            return "time limit"
        if os.getppid() != parent or parent != owner.pid:
            return "owner gone"
        readable, _, _ = select.select([0], [], [], _TICK_S)
        if readable and not os.read(0, 4096):
            return "stopped"


def _rest(child: subprocess.Popen[bytes], mark: str) -> list[Any]:
    """What still runs. Collects the dead on the way: orphans became ours."""
    if child.poll() is not None:
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
    return family(mark, child.pid, os.getpid())


if __name__ == "__main__":
    sys.exit(main())
