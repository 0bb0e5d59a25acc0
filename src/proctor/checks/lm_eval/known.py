"""Which of the tasks that a pipeline names the harness does not know, without running any.

A process of its own, as with an eval: importing the harness takes a second, its own index of tasks
seven more, and nothing that it reads should see our environment.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from proctor.checks.lm_eval import environment, suite
from proctor.core.errors import CheckFailed

LONGEST: Final = 180.0
"""Seconds."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What one check names. `include_path` is absolute."""

    tasks: tuple[str, ...]
    include_path: str | None


@dataclass(frozen=True, slots=True)
class Wrong:
    """A task that is not known, or ("") a folder of tasks that cannot be used; and why."""

    task: str
    problem: str


def unknown(asked: Sequence[Asked]) -> Sequence[Sequence[Wrong]]:
    """What is wrong with each. Raises CheckFailed when the harness cannot be asked."""
    with tempfile.TemporaryDirectory(prefix="proctor-tasks-") as folder:
        home = Path(folder, "home")
        environment.prepare(home)
        try:
            done = subprocess.run(
                [sys.executable, "-P", "-m", "proctor.checks.lm_eval.known"],
                input=json.dumps([asdict(each) for each in asked]),
                env=environment.of_the_eval(os.environ, home),
                cwd=folder,
                capture_output=True,
                text=True,
                timeout=LONGEST,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as e:
            raise CheckFailed(f"the harness could not be asked: {type(e).__name__}") from e
    try:
        return [[Wrong(**wrong) for wrong in each] for each in json.loads(done.stdout)]
    except ValueError:
        said = done.stderr.strip().splitlines() or [f"it ended with code {done.returncode}"]
        raise CheckFailed(f"the harness could not be asked: {said[-1][:300]}") from None


def main() -> None:
    """Answer what stdin asks on stdout; the harness's own chatter goes to stderr."""
    answers, sys.stdout = sys.stdout, sys.stderr
    asked = [Asked(tuple(a["tasks"]), a["include_path"]) for a in json.load(sys.stdin)]
    json.dump([_wrong(each) for each in asked], answers)


def _wrong(asked: Asked) -> list[dict[str, Any]]:
    try:
        found = suite.unknown(asked.tasks, Path(asked.include_path) if asked.include_path else None)
    except CheckFailed as e:
        return [asdict(Wrong("", str(e)))]
    return [asdict(Wrong(task, problem)) for task, problem in found.items()]


if __name__ == "__main__":
    main()
