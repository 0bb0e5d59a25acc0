"""The jobs: one Celery task for each kind of step, each carrying a step's id and nothing else."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping

from celery import Celery  # type: ignore[import-untyped]  # Celery ships no types

from proctor.core.run import StepKind

JOBS: Mapping[StepKind, str] = {
    StepKind.PLAN: "proctor.plan",
    StepKind.SYNC: "proctor.sync",
    StepKind.CHECK: "proctor.check",
    StepKind.JUDGE: "proctor.judge",
    StepKind.PROMOTE: "proctor.promote",
    StepKind.ANNOUNCE: "proctor.announce",
}
"""The table: which job looks at which kind of step."""

_STEP_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")

log = logging.getLogger(__name__)


def register(app: Celery, look: Callable[[str], None]) -> None:
    """Add the jobs to `app`, and to no other app; each calls `look(step_id)`."""
    for name in JOBS.values():
        app.task(_job(name, look), name=name, shared=False, ignore_result=True)


def step_id_of(args: tuple[object, ...], kwargs: Mapping[str, object]) -> str | None:
    """The step's id in a message's arguments, or None when the message is garbage."""
    if len(args) != 1 or kwargs or not isinstance(args[0], str):
        return None
    return args[0] if _STEP_ID.fullmatch(args[0]) else None


def _job(name: str, look: Callable[[str], None]) -> Callable[..., None]:
    def job(*args: object, **kwargs: object) -> None:
        step_id = step_id_of(args, kwargs)
        if step_id is None:
            log.warning("dropped a message for %s that carries no step id", name)
            return
        try:
            look(step_id)
        except Exception:
            # The step keeps its lease in the ledger, and the sweep wakes it when that ends.
            log.exception("%s of step %s ended with an error", name, step_id)

    return job
