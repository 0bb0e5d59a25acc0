"""Favours asked of Linux; elsewhere nothing happens, and less is guaranteed."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import Final

SUPERVISOR: Final = "SUPERVISED_BY"
"""The environment variable that tells a supervised process the id of its supervisor."""

# https://man7.org/linux/man-pages/man2/PR_SET_PDEATHSIG.2const.html
_PR_SET_PDEATHSIG = 1
# https://man7.org/linux/man-pages/man2/PR_SET_CHILD_SUBREAPER.2const.html
_PR_SET_CHILD_SUBREAPER = 36
# https://man7.org/linux/man-pages/man2/PR_SET_DUMPABLE.2const.html
_PR_SET_DUMPABLE = 4


def adopt_orphans(yes: bool = True) -> bool:
    """From now on orphaned descendants become our children, even those that called setsid(); or
    no longer.

    Returns whether the kernel agreed.
    """
    return _prctl(_PR_SET_CHILD_SUBREAPER, int(yes))


def die_with_supervisor() -> bool:
    """From now on the kernel kills this process when its supervisor dies.

    Returns False when it died already, and this process should not begin.
    """
    _prctl(_PR_SET_PDEATHSIG, getattr(signal, "SIGKILL", 9))
    return os.environ.get(SUPERVISOR) == str(os.getppid())


def hide_memory() -> bool:
    """From now on other processes of the same user can read neither this one's memory nor the
    environment that it was started with (/proc/PID/environ): an eval runs code that others wrote.
    A process of root still can. Returns whether the kernel agreed."""
    return _prctl(_PR_SET_DUMPABLE, 0)


def _prctl(option: int, value: int) -> bool:
    if not sys.platform.startswith("linux"):
        return False
    try:
        return bool(ctypes.CDLL(None).prctl(option, value, 0, 0, 0) == 0)
    except (OSError, AttributeError):  # a libc without it
        return False
