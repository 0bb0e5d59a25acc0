"""A wire to a broker that can be cut or go mute: a small TCP proxy."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

from tests.ports import free_port


class BrokerWire:
    """Passes TCP between `port` (on the loopback) and a server, as long as it is told to.

    `cut`: new connections are refused, standing ones reset. `mute`: whatever is sent is accepted,
    and nothing is ever answered. `mend` ends both.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._guard = threading.Lock()
        self._open: set[socket.socket] = set()
        self._mute = threading.Event()
        self._listener: socket.socket | None = None
        self.port = free_port()  # still free when a cut is mended
        self.mend()

    def mend(self) -> None:
        """Pass everything (again). Connections that were mute are dropped."""
        if self._mute.is_set():
            self._mute.clear()
            self._drop()
        if self._listener is None:
            self._listener = socket.create_server(("127.0.0.1", self.port))
            threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def mute(self) -> None:
        """Answer nothing from now on."""
        self._mute.set()

    def cut(self) -> None:
        """Refuse everybody, and hang up on those who are connected."""
        listener, self._listener = self._listener, None
        if listener is not None:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)  # wakes whoever waits in accept
            listener.close()
        self._drop()

    def close(self) -> None:
        """The end."""
        self.cut()

    def _drop(self) -> None:
        with self._guard:
            ends, self._open = self._open, set()
        for end in ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(self._target, timeout=5)
            except OSError:
                near.close()
                continue
            far.settimeout(None)
            with self._guard:
                self._open |= {near, far}
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._pass, args=(one, other), daemon=True).start()

    def _pass(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while chunk := one.recv(65_536):
                if not self._mute.is_set():
                    other.sendall(chunk)
        for end in (one, other):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        with self._guard:
            self._open.discard(one)
        one.close()
