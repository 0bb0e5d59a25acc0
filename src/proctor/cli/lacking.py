"""What is missing here and stops nothing from starting: told once, before the work begins."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from proctor.core.rule import Rules
from proctor.wiring import Wiring

log = logging.getLogger(__name__)

HARNESS: Final = ("lm_eval", "torch", "transformers")
"""Modules that the check `lm-eval` needs where it runs."""

INSTALL: Final = (
    "On machines that run evals, in a checkout of Proctor: pip install -c constraints.txt '.[eval]'"
)


@dataclass(frozen=True, slots=True)
class Lack:
    """Something that is missing: what follows from it, and what to do."""

    text: str
    remedy: str


NO_TOKEN: Final = Lack(
    "HF_TOKEN is not set: nothing can be promoted, and private repos cannot be read",
    "Make a token with write access to the repos' tags, and set HF_TOKEN (or HF_TOKEN_FILE).",
)


def harness(rules: Rules) -> Lack | None:
    """What is missing for the evals that the pipelines ask for. Imports nothing of it."""
    asking = sorted({c.name for p in rules.pipelines for c in p.checks if c.use == "lm-eval"})
    absent = absent_modules() if asking else ()
    if not absent:
        return None
    checks = f"the check{'s' if len(asking) > 1 else ''} {', '.join(asking)}"
    return Lack(f"{', '.join(absent)} not installed here: {checks} cannot measure here", INSTALL)


def absent_modules() -> Sequence[str]:
    """Those of the harness that cannot be imported here."""
    return [name for name in HARNESS if importlib.util.find_spec(name) is None]


def warn(wiring: Wiring, queues: Sequence[str]) -> None:
    """Say in the log what a worker of `queues` lacks."""
    for lack in _lacks(wiring, queues):
        log.warning("%s. %s", lack.text, lack.remedy)


def _lacks(wiring: Wiring, queues: Sequence[str]) -> Iterator[Lack]:
    if wiring.settings.hub_token is None:
        yield NO_TOKEN
    if "eval" in queues and (lack := harness(wiring.rules)):
        yield lack
