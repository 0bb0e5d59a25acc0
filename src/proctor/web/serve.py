"""Running the application under uvicorn, with every limit set."""

from __future__ import annotations

import gc
import ipaddress
import signal
import socket
from collections.abc import Callable
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from proctor.core.errors import Refused
from proctor.web.access import Access
from proctor.web.fast_path import Desk, speaking
from proctor.web.protocol import IDLE, BoundedProtocol

CONNECTIONS: Final = 900
"""At once; beyond it the answer is 503. Below the usual limit of 1,024 open files."""

_STOPS: Final = (signal.SIGTERM, signal.SIGINT)
GRACE: Final = 15
"""Seconds that running requests get at shutdown."""


def require_secret(host: str, *, has_secret: bool) -> None:
    """Raises Refused when anyone but this machine could post without a secret."""
    if not has_secret and not is_loopback(host):
        raise Refused(
            f"without a webhook secret anyone who reaches {host or 'this address'} could post "
            "events: set PROCTOR_WEBHOOK_SECRETS (or PROCTOR_WEBHOOK_SECRETS_FILE) to the secret "
            "that you gave the webhook on the Hub, or listen on 127.0.0.1"
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens on `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def serve(
    app: ASGIApp,
    host: str,
    port: int,
    *,
    has_secret: bool,
    ready: Callable[[int], None] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, then finish what runs. Call it in the main thread.

    `port` 0 takes a free one; `ready` is called with the port once connections are taken. Raises
    Refused when there is no secret on an address that others can reach, or the address cannot be
    had.
    """
    require_secret(host, has_secret=has_secret)
    bound = _bind(host, port)
    with bound:
        server = uvicorn.Server(server_config(app))

        def stop(*_: object) -> None:
            """Before uvicorn listens to signals, this is what ends it as soon as it has begun;
            after, it raises the signal again for whoever was there before, and all is over."""
            server.should_exit = True

        # What is here now stays: the collector need not look at it again and again; nor for every
        # few deliveries, which are no garbage while they wait for their commit.
        gc.collect()
        gc.freeze()
        gc.set_threshold(20_000, 10, 10)
        before = {each: signal.signal(each, stop) for each in _STOPS}
        try:
            if ready is not None:
                ready(bound.getsockname()[1])
            server.run(sockets=[bound])
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)


def server_config(app: ASGIApp) -> uvicorn.Config:
    """How we run uvicorn."""
    return uvicorn.Config(
        app,
        # Whatever else is installed.
        http=speaking(Desk(app)) if isinstance(app, Access) else BoundedProtocol,
        ws="none",
        lifespan="on",
        log_config=None,  # logging is set up by whoever starts the process
        access_log=False,  # it would write the query, where the secret may be: see web.access
        server_header=False,
        proxy_headers=False,
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=IDLE,
        timeout_graceful_shutdown=GRACE,
    )


def _bind(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
    except OSError as e:
        raise Refused(f"{host} is not an address of this machine: {e.strerror}") from e
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.listen()  # the address is ours from here on: two may be bound to it
    except OSError as e:
        bound.close()
        raise Refused(
            f"port {port} on {host} cannot be had ({e.strerror}): choose another with --port"
        ) from e
    return bound
