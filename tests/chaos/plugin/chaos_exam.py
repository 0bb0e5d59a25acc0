"""A check that only the storms know: cheap, but with a supervisor and a process of its own.

Installed for a deployment by a folder on PYTHONPATH with an entry point (see `deployment`). Every
part of Proctor imports it when it reads its configuration, so it is also the place to make them
less patient: a storm of seconds cannot wait a minute for each burst.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict

from proctor.checks.supervisor.ending import reap
from proctor.checks.supervisor.supervised import Why, run
from proctor.core import planning
from proctor.core.errors import Cancelled, CheckFailed, TransientError
from proctor.core.evidence import Findings, Metric
from proctor.flow import sweep
from proctor.ports.check import Room, Subject

planning.SETTLE = 0.5
sweep.PATIENCE = 2.0

SITTING: Final = Path(__file__).with_name("chaos_sitting.py")


class ExamParameters(BaseModel):
    """`journal` is the file in which each sitting notes its beginning, its beats and its end."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    name: str
    journal: str


class ChaosExam:
    """Reports the number in the revision's score.txt, after a short while."""

    Parameters = ExamParameters
    time_limit = 60.0
    queue = "eval"

    def __init__(self, parameters: ExamParameters) -> None:
        self._wanted = parameters

    def measure(self, subject: Subject, room: Room) -> Findings:
        """As every check with a supervised process does it."""
        if left := reap(room.work.parent.parent):  # of a worker that was killed
            raise TransientError(f"processes of an earlier try cannot be ended: {left}")
        asked = (room.snapshot() / "seconds.txt").read_text()
        request = {
            "journal": self._wanted.journal,
            "exam": f"{subject.repo.hub_id}@{subject.revision}:{self._wanted.name}",
            "worker": os.getpid(),
            "score": str(room.snapshot() / "score.txt"),
            # 0.4 to 1.4 s, the same for a revision however often it sits.
            "seconds": float(asked or 0.4 + int(subject.revision[:4], 16) / 0xFFFF),
        }
        began = time.monotonic()
        ending = run(
            [sys.executable, "-I", "-S", str(SITTING)],
            folder=room.work,
            environment={name: os.environ[name] for name in ("PATH", "PYTHONPATH")},
            request=json.dumps(request),
            time_limit=self.time_limit,
            stop=room.cancelled,
        )
        if ending.why is Why.STOPPED and room.cancelled():
            raise Cancelled("the sitting was stopped")
        if ending.why is not Why.EXITED or (ending.returncode or 0) < 0:
            raise TransientError(f"the sitting was ended from outside ({ending.why})")
        try:
            score = float((room.work / "result.txt").read_text())
        except (OSError, ValueError) as error:
            raise CheckFailed(f"the sitting left no score: {error}") from None
        costs = {"wall_s": round(time.monotonic() - began, 3)}
        return Findings((Metric("score", score),), costs=costs)
