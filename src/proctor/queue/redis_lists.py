"""kombu's Redis transport, with queues that are bounded and survive garbage."""

from __future__ import annotations

import logging
from queue import Empty
from typing import Any

from kombu.transport import redis

from proctor.queue.bounds import MAX_MESSAGES, QueueFull

log = logging.getLogger(__name__)


class Channel(redis.Channel):
    """A channel that refuses messages for a full queue and drops what is no message."""

    def _put(self, queue: str, message: dict[str, Any], **options: Any) -> None:
        if self._size(queue) >= MAX_MESSAGES:  # type: ignore[no-untyped-call]  # half typed
            raise QueueFull(f"queue {queue} is full: {MAX_MESSAGES} messages wait for a worker")
        super()._put(queue, message, **options)  # type: ignore[no-untyped-call]  # half typed

    def _brpop_read(self, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)  # type: ignore[no-untyped-call]  # half typed
        except (ValueError, KeyError, TypeError, AttributeError):
            # What was popped is no message. In kombu this ends the worker.
            log.warning("dropped what is not a message", exc_info=True)
            raise Empty from None


class Transport(redis.Transport):
    """The transport; options as kombu's."""

    Channel = Channel
