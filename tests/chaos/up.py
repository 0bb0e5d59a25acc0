"""A deployment that is one `proctor up`: the driver starts `up` again, and `up` its parts."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import ClassVar, Final

import psutil
from tests.chaos.crew import Crew
from tests.chaos.deployment import PARTS, START_AGAIN, Deployment
from tests.chaos.diary import Diary
from tests.chaos.schedule import WEIGHTS_UP

from proctor.localhub import LocalHub

LOOK_EVERY: Final = 0.1  # seconds; the process table is long

WITHIN: Final = 90.0
"""Seconds for `up` to end: more than its own 35, on a busy machine."""

LEASHED: Final = (
    "import os, sys; from proctor.checks.supervisor.kernel import die_with_supervisor;"
    "die_with_supervisor(); os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
)
"""Becomes a command that the kernel kills when we die: nothing outlives the tests. (`up` has no
leash of its own.)"""


class Up(Deployment):
    """`up` is killed, asked to stop, and started a second time while it runs; its parts are killed
    below it. It begins with two on the same port over an empty home, started at once."""

    weights: ClassVar[Mapping[str, float]] = WEIGHTS_UP

    def __init__(self, folder: Path, hub: LocalHub, token: str, database: str, broker: str) -> None:
        super().__init__(folder, hub, token, database, broker)
        self._crews: list[Crew] = []  # the first is the one that counts
        self._ended_at: float | None = None
        self._looked, self._started = 0.0, 0

    def begin(self) -> None:
        """Start two at once; returns when a receiver answers. One of them stays."""
        super().begin()
        self._crews.sort(key=lambda crew: not crew.runs)  # one may have been refused
        main, other = self._crews
        main.second, other.second = False, True
        other.stop_up(crowded=self._crowded(other))

    def keep(self, diary: Diary) -> None:
        """`up` is started again; its parts are its own business."""
        now = time.monotonic()
        if now < self._looked + LOOK_EVERY:
            return
        self._looked = now
        for crew in self._crews:
            crew.look(diary)
        if not self._main.runs:
            self._ended_at = self._ended_at or now
            if now >= self._ended_at + START_AGAIN:
                self._crews.insert(0, self._start(self.port))
                self._ended_at = None
        self._crews[1:] = [crew for crew in self._crews[1:] if not crew.gone]

    def pid(self, name: str) -> int | None:
        """The process of a part; None when it does not run."""
        return self._main.pid(name)

    def kill(self, name: str) -> bool:
        """kill -9 of a part, of `up` alone, or of everything at once."""
        if name not in ("up", "everything"):
            return self._main.kill(name)
        killed = self._main.kill_up()
        if killed and name == "everything":
            for part in PARTS:
                self._main.kill(part)
        return killed

    def stop(self, name: str) -> bool:
        """TERM to a part: `up` starts it again."""
        return self._main.stop(name)

    def stop_all(self) -> bool:
        """TERM to `up`."""
        return self._main.stop_up(crowded=self._crowded(self._main))

    def start_second(self, *, same_port: bool) -> Callable[[bool], None] | None:
        """One more over the same home, with workers and a sweep of its own."""
        if any(crew.second and crew.runs for crew in self._crews):
            return None
        second = self._start(self.port if same_port else 0, second=True)
        self._crews.append(second)

        def end(kill: bool) -> None:
            if kill:
                second.kill_up()
            else:
                second.stop_up(crowded=self._crowded(second))

        return end

    def end(self) -> list[str]:
        """TERM to `up`; names it when it did not end well, and the parts that outlived theirs."""
        for crew in self._crews:
            crew.child.terminate()
            for part in crew.parts.values():
                with suppress(psutil.Error):
                    part.process.resume()
        late = []
        for crew in self._crews:
            status = None
            with suppress(subprocess.TimeoutExpired):
                status = crew.child.wait(WITHIN)
            if status is None or (not crew.over and status):
                late.append(f"up ({status})")
            crew.child.kill()
            crew.child.wait()
            left = psutil.wait_procs([part.process for part in crew.parts.values()], WITHIN)[1]
            late += [name for name, part in crew.parts.items() if part.process in left]
            for process in left:
                process.kill()
        return late

    @property
    def _main(self) -> Crew:
        return self._crews[0]

    def _crowded(self, crew: Crew) -> bool:
        others = [other for other in self._crews if other is not crew and other.runs]
        return any(other.port == crew.port for other in others)

    def _start_all(self) -> None:
        self._crews = [self._start(self.port), self._start(self.port, second=True)]

    def _start(self, port: int, *, second: bool = False) -> Crew:
        self._started += 1
        path = self.folder / f"up-{self._started}.log"
        arguments = ("up", "--port", str(port), "--workers", "2")
        with path.open("wb") as log:
            child = subprocess.Popen(
                [sys.executable, "-c", LEASHED, "-m", "proctor", *arguments],
                env=self.environ,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return Crew(child, path, port, second)
