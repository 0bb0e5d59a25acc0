"""Ports for servers that are started a little later, and perhaps once more."""

from __future__ import annotations

import random
import socket

OURS = range(20_000, 30_000)
"""Below those that the system gives to whoever asks for no port in particular: connections that go
out, and servers on port 0. So nobody takes one that was found free before it is used."""

_chance = random.SystemRandom()  # hypothesis seeds the other, in each process the same


def free_port() -> int:
    """A port of the loopback on which nobody listens."""
    for _ in range(100):
        port = _chance.choice(OURS)
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return port
    raise AssertionError("no port is free")
