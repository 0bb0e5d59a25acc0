"""One `proctor up` and what it runs, seen through the process table: its parts are no children of
ours, and nobody but `up` starts them again."""

from __future__ import annotations

import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from tests.chaos.deployment import EVALS
from tests.chaos.diary import Diary, Stopped, UpEnded, Vacancy

BEFORE = 1.0
"""Seconds for which `up` may not have noticed a death."""


@dataclass(slots=True)
class Seen:
    """A part that runs below `up`. `told_at` is when it was asked to stop, by TERM or by the end of
    its `up` (then it is `orphaned`); `killed` says that its death is no news."""

    process: psutil.Process
    told_at: float | None = None
    orphaned: bool = False
    killed: bool = False


@dataclass(slots=True)
class Crew:
    """`log` is of this `up` and its parts alone. `vacant` tells since when a part is dead that
    `up` has to start again. `disturbed` says that its exit status tells nothing: it was killed, or
    a part was while all were to end. `over`: it has ended, and the diary knows."""

    child: subprocess.Popen[bytes]
    log: Path
    port: int
    second: bool = False
    parts: dict[str, Seen] = field(default_factory=dict)
    vacant: dict[str, float] = field(default_factory=dict)
    told_at: float | None = None
    disturbed: bool = False
    over: bool = False
    _below: set[int] = field(default_factory=set)

    @property
    def runs(self) -> bool:
        """Whether `up` itself does."""
        return self.child.poll() is None

    @property
    def gone(self) -> bool:
        """Whether nothing is left of it."""
        return self.over and not self.parts

    def look(self, diary: Diary) -> None:
        """See who died, and who took the place of the dead."""
        runs = self.runs  # before its parts: they end when it does
        self._bury(diary)
        if runs:
            self._welcome(diary)
        elif not self.over:
            self._see_the_end(diary)

    def pid(self, name: str) -> int | None:
        """The process of a part; None when it does not run."""
        part = self.parts.get(name)
        return part.process.pid if part is not None and _alive(part.process) else None

    def kill(self, name: str) -> bool:
        """kill -9 of a part; False when it does not run."""
        if self.pid(name) is None:
            return False
        self.parts[name].killed = True
        self.disturbed |= self.told_at is not None
        with suppress(psutil.Error):
            self.parts[name].process.kill()
        return True

    def stop(self, name: str) -> bool:
        """TERM to a part; False when it does not run, or was asked to stop already."""
        if self.pid(name) is None or self.parts[name].told_at is not None:
            return False
        self.parts[name].told_at = time.time()
        with suppress(psutil.Error):
            self.parts[name].process.terminate()
        return True

    def kill_up(self) -> bool:
        """kill -9 of `up` alone; False when it does not run."""
        if not self.runs:
            return False
        self.disturbed = True
        self.child.kill()
        self.child.wait()
        return True

    def stop_up(self, *, crowded: bool) -> bool:
        """TERM to `up`; False when it does not run, or was asked to stop already. Where another has
        the same port (`crowded`), its receiver may just have been refused: its status is 1 then."""
        if not self.runs or self.told_at is not None:
            return False
        self.told_at = time.time()
        lately = any(self.told_at - since < BEFORE for since in self.vacant.values())
        self.disturbed |= crowded or lately or not all(map(self.pid, self.parts))
        self._tell_all(self.told_at)
        self.child.terminate()
        return True

    def _bury(self, diary: Diary) -> None:
        for name, part in list(self.parts.items()):
            if _alive(part.process):
                continue
            del self.parts[name]
            now, pid = time.time(), part.process.pid
            self.vacant[name] = now
            if part.told_at is not None:
                stopped = Stopped(name, pid, part.told_at, now, None, part.killed, part.orphaned)
                diary.stopped.append(stopped)
            elif not part.killed and not self._ends():
                diary.unasked.append((name, None))

    def _welcome(self, diary: Diary) -> None:
        known = {part.process.pid for part in self.parts.values()}
        for process in _children(self.child.pid):
            if process.pid in known or (name := self._name(process)) is None:
                continue
            since = self.vacant.pop(name, None)
            if since is not None and self.told_at is None:
                diary.vacancies.append(
                    Vacancy(self.child.pid, name, since, process.create_time(), filled=True)
                )
            self.parts[name] = Seen(process)
            self._below.add(process.pid)
        if self.told_at is not None:
            self._tell_all(self.told_at)

    def _see_the_end(self, diary: Diary) -> None:
        now, pid, status = time.time(), self.child.pid, self.child.returncode
        until = self.told_at or now
        for name, since in self.vacant.items():
            if since < until:
                diary.vacancies.append(Vacancy(pid, name, since, until, filled=False))
        for part in self.parts.values():
            part.orphaned = True
        self._tell_all(now)
        if self.told_at is not None:
            below = frozenset(self._below)
            diary.stopped.append(
                Stopped("up", pid, self.told_at, now, status, self.disturbed, below=below)
            )
        elif not self.disturbed:
            diary.ended.append(UpEnded(status, self.log.read_text(), self.second))
        self.over = True

    def _tell_all(self, at: float) -> None:
        for part in self.parts.values():
            if part.told_at is None:
                part.told_at = at

    def _ends(self) -> bool:
        """Whether `up` ends, or did: then its parts do too."""
        return self.told_at is not None or self.disturbed or not self.runs

    def _name(self, process: psutil.Process) -> str | None:
        """Which part a new child is; None while it is still a copy of `up`, or is no part."""
        words = words_of(process)
        if "proctor.cli.receiver" in words:
            return "web"
        if "--leashed" not in words or "proctor" not in words:
            return None
        command, *more = words[words.index("proctor") + 1 :]
        if command != "worker":
            return command
        if "io" in more:
            return "io"
        # The evals' commands are the same: the newcomer is the one that is missed for longest.
        free = [name for name in EVALS if name not in self.parts]
        return min(free, key=lambda name: self.vacant.get(name, 0.0), default=None)


def words_of(process: psutil.Process) -> list[str]:
    """Its command; nothing when it is gone."""
    with suppress(psutil.Error):
        return process.cmdline()
    return []


def _children(pid: int) -> list[psutil.Process]:
    with suppress(psutil.Error):
        return [each for each in psutil.Process(pid).children() if _alive(each)]
    return []


def _alive(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False
