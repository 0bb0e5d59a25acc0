"""kombu's Redis transport, with queues that are bounded and survive garbage."""

from __future__ import annotations

import logging
from queue import Empty
from typing import Any

from kombu.transport import redis
from kombu.utils.json import dumps

from proctor.queue.bounds import MAX_MESSAGES, QueueFull

log = logging.getLogger(__name__)


class QoS(redis.QoS):
    """Counts a message as dealt with even where Redis cannot be told.

    kombu goes on counting it. With as many as a worker may hold, it asks for no more, and so never
    notices that its connection is gone: it would be idle for ever."""

    def ack(self, delivery_tag: str) -> None:
        try:
            super().ack(delivery_tag)  # type: ignore[no-untyped-call]  # half typed
        except Exception:
            self._quick_ack(delivery_tag)
            raise


class Channel(redis.Channel):
    """A channel that refuses messages for a full queue and drops what is no message."""

    QoS = QoS
    _kept: Any = None

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)  # type: ignore[no-untyped-call]  # half typed
        self._lengths: dict[str, int] = {}  # of each queue, after our last message

    def _create_client(self, asynchronous: bool = False) -> Any:
        """One client for each pool of connections. kombu makes one for each thing that it asks,
        which takes longer than asking."""
        if asynchronous:
            return super()._create_client(asynchronous)  # type: ignore[no-untyped-call]  # half typed
        if self._kept is None or self._kept.connection_pool is not self.pool:
            self._kept = super()._create_client()  # type: ignore[no-untyped-call]  # half typed
        return self._kept

    def _put(self, queue: str, message: dict[str, Any], **options: Any) -> None:
        # Redis tells the length with each message that it takes: asking before takes a third of the
        # time that a hint needs. Beyond the bound there is at most one message of each sender.
        if (
            self._lengths.get(queue, MAX_MESSAGES) >= MAX_MESSAGES
            and self._size(queue) >= MAX_MESSAGES  # type: ignore[no-untyped-call]  # half typed
        ):
            raise QueueFull(f"queue {queue} is full: {MAX_MESSAGES} messages wait for a worker")
        with self.conn_or_acquire() as client:
            self._lengths[queue] = client.lpush(queue, dumps(message))  # type: ignore[no-untyped-call]  # half typed

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
