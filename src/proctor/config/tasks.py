"""Tasks of lm-eval that the file names and the harness does not know.

Apart from `load`, because asking the harness takes seconds: `proctor lint` does.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from proctor.checks.lm_eval.known import Asked, Wrong, unknown
from proctor.config import source
from proctor.config.node import Node
from proctor.config.problem import Complaint, Problem
from proctor.core.errors import CheckFailed


@dataclass(frozen=True, slots=True)
class TasksLooked:
    """What is wrong, and what could not be looked at and why ("" when all was)."""

    problems: tuple[Problem, ...] = ()
    not_checked: str = ""


def look(path: Path) -> TasksLooked:
    """Ask the harness about a file that loads. Nothing of it is imported here."""
    document = source.read(path)
    checks = [
        check
        for pipeline in Node(document).items("pipelines")
        for check in pipeline.items("checks")
        if check.text("use") == "lm-eval"
    ]
    if not checks:
        return TasksLooked()
    if importlib.util.find_spec("lm_eval") is None:
        return TasksLooked(not_checked="lm_eval is not installed here")
    base = path.absolute().parent
    try:
        answers = unknown([_asked(check / "with", base) for check in checks])
    except CheckFailed as error:
        return TasksLooked(not_checked=str(error))
    complaints = (
        _complaint(check / "with", wrong)
        for check, found in zip(checks, answers, strict=True)
        for wrong in found
    )
    return TasksLooked(tuple(document.problem(c) for c in complaints))


def _asked(given: Node, base: Path) -> Asked:
    folder = given.text("include_path")
    tasks = tuple(task for _, task in given.texts("tasks"))
    return Asked(tasks, str((base / folder).resolve()) if folder else None)


def _complaint(given: Node, wrong: Wrong) -> Complaint:
    problem, meant, near = wrong.problem.partition("; did you mean ")
    remedy = f"Did you mean {near}" if meant else "Correct the name."
    for node, task in given.texts("tasks"):
        if task == wrong.task:
            return node.wrong(problem, f"{remedy} Or put its file into include_path.")
    return (given / "include_path").wrong(wrong.problem, "Mend the task's file.")
