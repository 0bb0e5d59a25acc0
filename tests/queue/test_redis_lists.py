"""What a consumer on Redis holds when the server goes away."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest
from kombu.connection import Connection
from redis.exceptions import ConnectionError as RedisGone
from tests.chaos.broker_wire import BrokerWire

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
        message = queue.get(timeout=5)
        assert not channel.qos.can_consume()
        wire.cut()
        with pytest.raises(RedisGone):
            message.ack()
        assert channel.qos.can_consume()
    finally:
        wire.close()
        connection.release()
