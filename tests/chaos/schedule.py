"""What is going to happen, decided by a seed alone."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass

WEIGHTS = {
    "push": 8.0,
    "kill web": 1.0,
    "kill io": 2.0,
    "kill eval": 2.0,
    "kill sweep": 0.7,
    "kill supervisor": 4.0,
    "kill sitting": 4.0,
    "kill eval and supervisor": 2.0,
    "freeze worker": 0.7,
    "freeze web": 0.3,
    "freeze sweep": 0.3,
    "flush broker": 1.0,
    "cut broker": 0.7,
    "mute broker": 0.7,
    "trouble database": 0.7,
    "lock database": 0.5,
    "fault": 5.0,
    "lose deliveries": 0.7,
    "replay": 2.0,
    "reverse deliveries": 1.0,
    "double deliveries": 0.5,
    "delay deliveries": 0.5,
    "stop web": 0.5,
    "stop io": 0.8,
    "stop eval": 1.2,
    "stop sweep": 0.3,
    "stop everything": 0.3,
    "move tag by hand": 3.0,
    "remove tag by hand": 1.5,
    "put tag back by hand": 1.5,
    "settle a hold": 4.0,
    "take a push back": 0.8,
}
"""The acts, and how often each comes in relation to the others."""

WEIGHTS_UP = {
    **WEIGHTS,
    "stop everything": 0.8,
    "kill up": 2.5,
    "kill everything": 0.7,
    "start a second up": 1.5,
}
"""The same where `proctor up` runs all of it."""


@dataclass(frozen=True, slots=True)
class Act:
    """`at` in seconds from the beginning; `chance` seeds whatever the act leaves open."""

    at: float
    what: str
    chance: int


def schedule(
    seed: int, seconds: float, pace: float, weights: Mapping[str, float] = WEIGHTS
) -> list[Act]:
    """The acts of a storm; `pace` is the mean time between two, in seconds.
    It begins with a push."""
    chance = random.Random(seed)
    acts, at = [Act(0.0, "push", chance.getrandbits(32))], 0.0
    names, shares = list(weights), list(weights.values())
    while (at := at + chance.expovariate(1 / pace)) < seconds:
        (what,) = chance.choices(names, shares)
        acts.append(Act(at, what, chance.getrandbits(32)))
    return acts
