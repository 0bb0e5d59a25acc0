"""Which checks of a run may begin, and which never can. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from proctor.core.evidence import Outcome
from proctor.core.run import CheckStatus, RunCheck


@dataclass(frozen=True, slots=True)
class Onward:
    """`ready` may begin now; `blocked` pairs a check with the one that it needs and that could not
    measure; `complete` says that every check has its evidence (or its block)."""

    ready: tuple[RunCheck, ...]
    blocked: tuple[tuple[RunCheck, str], ...]
    complete: bool


def onward(checks: Sequence[RunCheck], outcomes: Mapping[str, Outcome]) -> Onward:
    """Decide from the checks of a run and the outcomes so far (by check name). A check that needs
    one that errored or is blocked is blocked too."""
    stopped = {name for name, outcome in outcomes.items() if outcome is Outcome.ERRORED}
    blocked: dict[str, tuple[RunCheck, str]] = {}
    waiting = [c for c in checks if c.status is CheckStatus.WAITING and c.name not in outcomes]
    grew = True
    while grew:
        grew = False
        for check in waiting:
            cause = next((n for n in check.needs if n in stopped), None)
            if cause is not None and check.name not in blocked:
                blocked[check.name] = (check, cause)
                stopped.add(check.name)
                grew = True
    ready = tuple(
        c for c in waiting if c.name not in blocked and all(n in outcomes for n in c.needs)
    )
    complete = all(c.name in outcomes or c.name in blocked for c in checks)
    return Onward(ready, tuple(blocked.values()), complete)
