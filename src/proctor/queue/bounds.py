"""How much may wait in a queue, on every broker."""

from kombu.exceptions import ChannelError

MAX_MESSAGES = 10_000
"""A queue with this many waiting messages refuses new ones; the sweep sends them later. Without
it, a queue that no worker serves would grow with each sweep."""


class QueueFull(ChannelError):  # type: ignore[misc]  # kombu is half typed
    """The queue holds as many messages as it may: workers are missing, not the broker."""
