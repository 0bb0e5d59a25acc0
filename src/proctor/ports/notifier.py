"""Channels: how notices reach people."""

from typing import Protocol

from proctor.core.notice import Notice


class Notifier(Protocol):
    """Sends notices to one channel. Built from the channel's validated parameters."""

    def send(self, notice: Notice) -> None:
        """Send once, bounded in time. Raises TransientError or PermanentError (without any
        secret in the message). The receiver can tell a repetition by `notice.key`."""
        ...
