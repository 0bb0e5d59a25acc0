"""What gets away when a command kills its own supervisor: the asker adopts it, and ends it.

While a supervised command runs, orphans become the asker's children, whatever session, folder or
environment they gave themselves. They are told from what the asker's program started for itself,
which is none of our business, by the brand that every supervisor gives to all that it starts.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading

import psutil

from proctor.checks.supervisor.ending import end
from proctor.checks.supervisor.kernel import adopt_orphans

_lock = threading.Lock()
_supervisors: set[int] = set()


def brand() -> None:
    """Mark this process, and all that it will start, for good.

    The mark is a limit that has no effect (https://man7.org/linux/man-pages/man2/getrlimit.2.html,
    RLIMIT_LOCKS) and differs from the asker's: it is inherited, and only root may raise it again.
    """
    if sys.platform == "linux":
        limit = min(_limit(psutil.Process()), 2**62)
        with contextlib.suppress(psutil.Error, OSError):
            psutil.Process().rlimit(psutil.RLIMIT_LOCKS, (max(0, limit - 1),) * 2)


def adopt(supervisor: int) -> None:
    """This child is a supervisor. To be told before it starts anything."""
    with _lock:
        _supervisors.add(supervisor)
        adopt_orphans()


def end_strays(supervisor: int) -> list[int]:
    """End what this supervisor, which has ended and was waited for, left to us. Returns the ids of
    what could not be ended."""
    with _lock:
        _supervisors.discard(supervisor)
    left = end(_strays, grace=0.0)
    with _lock:
        if not _supervisors:
            adopt_orphans(False)  # of others we could not collect the dead
    return left


def _strays() -> list[psutil.Process]:
    """The branded children of this process and what is below them; supervisors apart. Collects the
    dead among them: nobody else does."""
    found: list[psutil.Process] = []
    ours = _limit(psutil.Process())
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.Error, OSError):
            if child.pid in _supervisors or _limit(child) >= ours:
                continue
            if child.status() == psutil.STATUS_ZOMBIE:
                os.waitpid(child.pid, os.WNOHANG)
            else:
                found += [child, *child.children(recursive=True)]
    return found


def _limit(process: psutil.Process) -> int:
    if sys.platform != "linux":
        return 0
    hard = int(process.rlimit(psutil.RLIMIT_LOCKS)[1])
    return hard if hard >= 0 else 2**64  # -1 is "no limit"
