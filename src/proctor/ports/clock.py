"""Time and chance."""

from typing import Protocol


class Clock(Protocol):
    """The only source of time and chance outside the shells."""

    def now(self) -> float:
        """Seconds since the epoch, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds on a clock that never jumps."""
        ...

    def new_id(self) -> str:
        """A fresh id: sorts by time of creation, unique across machines, 26 characters."""
        ...

    def random(self) -> float:
        """A number in [0, 1), for jitter."""
        ...
