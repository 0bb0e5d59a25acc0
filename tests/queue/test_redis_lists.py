"""What a consumer on Redis holds when the server goes away, and how much a queue holds."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest
from kombu.connection import Connection
from redis.exceptions import ConnectionError as RedisGone
from tests.chaos.broker_wire import BrokerWire

from proctor.queue import redis_lists
from proctor.queue.bounds import QueueFull
from proctor.queue.redis_lists import Transport


def test_a_message_that_cannot_be_acknowledged_takes_no_place(redis_server: str) -> None:
    server = urlsplit(redis_server)
    assert server.hostname and server.port
    wire = BrokerWire(server.hostname, server.port)
    connection: Any = Connection(  # type: ignore[no-untyped-call]  # kombu is half typed
        f"redis://127.0.0.1:{wire.port}/2", transport=Transport
    )
    try:
        channel = connection.channel()
        channel.basic_qos(0, 1, False)
        queue = connection.SimpleQueue("io", channel=channel)
        queue.put({"step": "1"})
        message = queue.get(timeout=60)
        assert not channel.qos.can_consume()
        wire.cut()
        with pytest.raises(RedisGone):
            message.ack()
        assert channel.qos.can_consume()
    finally:
        wire.close()
        connection.release()


def test_a_queue_is_bounded_whoever_fills_it(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_lists, "MAX_MESSAGES", 3)
    one, other = (
        Connection(redis_url, transport=Transport).channel()  # type: ignore[no-untyped-call]  # likewise
        for _ in range(2)
    )
    try:
        for _ in range(2):
            one._put("io", {"step": "1"})
        other._put("io", {"step": "2"})
        with pytest.raises(QueueFull, match="io is full"):
            other._put("io", {"step": "2"})
        one._put("io", {"step": "1"})  # it knows of its own two: one too many may come
        with pytest.raises(QueueFull):
            one._put("io", {"step": "1"})
        one._put("eval", {"step": "1"})  # the others are not full
        assert one._size("io") == 4
        for _ in range(2):
            one._get("io")
        for sender in (one, other):  # there is room again, up to the bound
            sender._put("io", {"step": "3"})
            with pytest.raises(QueueFull):
                sender._put("io", {"step": "3"})
            one._get("io")
        one._purge("io")
        other._put("io", {"step": "4"})
    finally:
        for channel in (one, other):
            channel.connection.client.release()
