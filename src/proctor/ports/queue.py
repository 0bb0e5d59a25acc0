"""Waking workers."""

from typing import Protocol

from proctor.core.run import Step


class Queue(Protocol):
    """Delivers "look at this step". Losing, repeating or delaying a message is harmless."""

    def wake(self, step: Step) -> bool:
        """Send one hint for `step` on its queue, bounded in time (a few seconds). Never raises;
        returns whether the broker took it: the sweep sends again."""
        ...
