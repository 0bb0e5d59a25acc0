"""A deployment part by part, as a Procfile has it: what died is started again by the driver."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.deployment import PARTS, START_AGAIN, Deployment
from tests.chaos.diary import Diary, Stopped

from proctor.localhub import LocalHub


@dataclass(slots=True)
class Part:
    """A part that runs, or ran. `doomed` says that its death is no news. `told_at` is when it was
    asked to stop, in seconds since the epoch."""

    child: subprocess.Popen[bytes]
    doomed: bool = False
    killed: bool = False
    told_at: float | None = None
    died_at: float | None = None


class Apart(Deployment):
    """Each part is a child of ours."""

    def __init__(self, folder: Path, hub: LocalHub, token: str, database: str, broker: str) -> None:
        super().__init__(folder, hub, token, database, broker)
        evals = ("worker", "--queues", "eval", "--concurrency", "1")
        self._commands = {
            "web": ("web", "--port", str(self.port)),
            "io": ("worker", "--queues", "io", "--concurrency", "4"),
            "eval-1": evals,
            "eval-2": evals,
            "sweep": ("sweep",),
        }
        self.parts: dict[str, Part] = {}

    def keep(self, diary: Diary) -> None:
        """Start again what ended. The diary learns of those that were asked to, and of those that
        nobody asked nor killed."""
        for name, part in self.parts.items():
            status = part.child.poll()
            if status is None:
                continue
            if part.died_at is None:
                part.died_at = time.monotonic()
                if part.told_at is not None:
                    pid, now = part.child.pid, time.time()
                    diary.stopped.append(Stopped(name, pid, part.told_at, now, status, part.killed))
                elif not part.doomed:
                    diary.unasked.append((name, status))
            if time.monotonic() - part.died_at >= START_AGAIN:
                self._let_go(part)
                self._start(name)

    def pid(self, name: str) -> int | None:
        """The process of a part; None when it does not run."""
        child = self.parts[name].child
        return child.pid if child.poll() is None else None

    def kill(self, name: str) -> bool:
        """kill -9 of a part (of its one process); False when it is dead already."""
        part = self.parts[name]
        if part.child.poll() is not None:
            return False
        part.doomed = part.killed = True
        part.child.kill()
        return True

    def stop(self, name: str) -> bool:
        """TERM to a part; False when it is dead, or was asked to stop already."""
        part = self.parts[name]
        if part.child.poll() is not None or part.told_at is not None:
            return False
        part.told_at = time.time()
        part.child.terminate()
        return True

    def stop_all(self) -> bool:
        """TERM to each part."""
        return bool([name for name in PARTS if self.stop(name)])

    def end(self) -> list[str]:
        """Ask all parts to stop; returns the names of those that had to be killed."""
        for part in self.parts.values():
            part.doomed = True
            with suppress(ProcessLookupError):
                part.child.send_signal(signal.SIGCONT)
                part.child.terminate()
        late = []
        for name, part in self.parts.items():
            try:
                part.child.wait(90)
            except subprocess.TimeoutExpired:
                late.append(name)
                part.child.kill()
                part.child.wait()
            self._let_go(part)
        return late

    def _start_all(self) -> None:
        for name in PARTS:
            self._start(name)

    def _start(self, name: str) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            child = subprocess.Popen(
                [sys.executable, "-m", "proctor", *self._commands[name], "--leashed"],
                env=self.environ,
                cwd=self.folder,
                stdin=subprocess.PIPE,  # so that nothing outlives the tests, however they end
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.parts[name] = Part(child)

    def _let_go(self, part: Part) -> None:
        if part.child.stdin is not None:
            part.child.stdin.close()
