"""The time that one attempt at the Hub may take, kept at the socket.

A timeout of the HTTP client bounds one wait for bytes. A server that sends a byte now and then, in
its headers say, begins that wait anew each time: so each wait here ends with the attempt, too.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import httpcore2
import httpx2

from proctor.core.errors import Cancelled, TransientError
from proctor.hub.patience import Patience
from proctor.hub.pauses import Pauses


@dataclass(frozen=True, slots=True)
class Attempt:
    """What bounds all that this thread asks of the Hub now. `until` by `time.monotonic`."""

    patience: Patience
    pauses: Pauses
    until: float
    stop: threading.Event = field(default_factory=threading.Event)

    def check(self) -> None:
        """Raise TransientError when the time is up, Cancelled when told to stop."""
        if self.stop.is_set():
            raise Cancelled("the download was given up")
        if time.monotonic() >= self.until:
            raise TransientError("the Hub's answer took too long")


current: ContextVar[Attempt | None] = ContextVar("current", default=None)
"""The attempt of this thread, if any."""


def keep_deadlines(client: httpx2.Client) -> None:
    """Let every wait of this client on a socket end with the attempt.

    httpx2 has no public way to set httpcore2's network backend
    (https://www.encode.io/httpcore/network-backends/). Where it no longer is where we look for it,
    this raises AttributeError rather than leave waits without an end.
    """
    for transport in (client._transport, *client._mounts.values()):
        if transport is not None:
            pool: Any = transport._pool  # type: ignore[attr-defined]  # likewise private
            pool._network_backend = _Backend(pool._network_backend)


def _left(asked: float | None) -> float | None:
    """How long the next wait may take. Raises what `Attempt.check` does."""
    attempt = current.get()
    if attempt is None:
        return asked
    attempt.check()
    left = max(attempt.until - time.monotonic(), 0.001)
    return left if asked is None else min(asked, left)


class _Backend(httpcore2.NetworkBackend):
    def __init__(self, inner: httpcore2.NetworkBackend) -> None:
        self._inner = inner

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        """Connect to the first of the host's addresses that lets us, however many they are."""
        refusal: Exception = httpcore2.ConnectError(f"{host} has no address")
        for address in _addresses(host, port):
            left = _left(timeout)
            try:
                stream = self._inner.connect_tcp(address, port, left, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                refusal = error
            else:
                return _Stream(stream)
        raise refusal

    def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore2.NetworkStream:
        return _Stream(self._inner.connect_unix_socket(path, _left(timeout), socket_options))

    def sleep(self, seconds: float) -> None:
        self._inner.sleep(seconds)


class _Stream(httpcore2.NetworkStream):
    def __init__(self, inner: httpcore2.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, _left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, _left(timeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore2.NetworkStream:
        try:
            left = _left(timeout)
        except BaseException:
            self.close()  # as httpcore2's own does when it fails
            raise
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, left))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


def _addresses(host: str, port: int) -> list[str]:
    """The host's addresses. How long that takes is the system's resolver to say."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise httpcore2.ConnectError(str(error)) from error
    return list(dict.fromkeys(str(address[0]) for *_, address in found))
