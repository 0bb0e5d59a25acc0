"""What lets a test pass on a machine that stands still for a while."""

from __future__ import annotations

import random
import socket
from pathlib import Path

_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def patient(postgres_url: str) -> str:
    """The same database, whose locks are waited for a minute: whoever holds one may stand still."""
    options = "-c lock_timeout=60000 -c statement_timeout=60000"
    return f"{postgres_url}&options={options.replace(' ', '%20').replace('=', '%3D')}"


def free_port() -> int:
    """A port for a server that binds it later, or binds it again.

    It is none of those that the kernel gives to whoever asks for any: it would give it away.
    """
    first_given = int(_RANGE.read_text().split()[0]) if _RANGE.exists() else 32_768
    while True:
        port = random.randrange(10_000, max(first_given, 10_100))
        with socket.socket() as probe:
            # As servers do: an earlier one's connections that linger are not in the way.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
