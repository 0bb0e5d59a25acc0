"""Running the application under uvicorn, with every limit set."""

from __future__ import annotations

import asyncio
import ipaddress
import signal
import socket
from collections.abc import Callable
from typing import Final

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from proctor.core.errors import Refused

HEADERS_WITHIN: Final = 10.0
"""Seconds from connecting to the end of the first request's headers."""

IDLE: Final = 20
"""Seconds that a connection may be silent between two requests."""

HEADER_BYTES: Final = 64 * 1024
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

    `port` 0 takes a free one; `ready` is called with the port once it is bound. Raises Refused
    when there is no secret on an address that others can reach, or the address cannot be had.
    """
    require_secret(host, has_secret=has_secret)
    bound = _bind(host, port)
    with bound:
        if ready is not None:
            ready(bound.getsockname()[1])
        # uvicorn raises the signal again once it has shut down, for whoever was there before it:
        # for us that is the end of this function, not of the process.
        before = {each: signal.signal(each, lambda *_: None) for each in _STOPS}
        try:
            uvicorn.Server(server_config(app)).run(sockets=[bound])
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)


def server_config(app: ASGIApp) -> uvicorn.Config:
    """How we run uvicorn."""
    return uvicorn.Config(
        app,
        http=_Impatient,  # one parser, the strict one, whatever else is installed
        ws="none",
        lifespan="on",
        log_config=None,  # logging is set up by whoever starts the process
        access_log=False,  # it would write the query, where the secret may be: see web.access
        server_header=False,
        proxy_headers=False,
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=IDLE,
        timeout_graceful_shutdown=GRACE,
        h11_max_incomplete_event_size=HEADER_BYTES,
    )


class _Impatient(H11Protocol):
    """Hangs up on those who connect and do not ask (uvicorn itself would wait for ever), and
    never logs a query."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # asyncio says BaseTransport; a server gets a Transport
        super().connection_made(transport)
        # uvicorn's `access_log=False` only unhooks the handlers of its logger: whoever hooks one up
        # again gets the query, and with it the secret.
        self.access_log = False
        self._deadline = self.loop.call_later(HEADERS_WITHIN, self._hang_up)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        super().connection_lost(exc)

    def _hang_up(self) -> None:
        asked = getattr(self, "cycle", None) is not None  # typed as never None, and None at first
        if not asked and not self.transport.is_closing():
            self.transport.close()


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
    except OSError as e:
        bound.close()
        raise Refused(
            f"port {port} on {host} cannot be had ({e.strerror}): choose another with --port"
        ) from e
    return bound
