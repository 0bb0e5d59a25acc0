"""A Local Hub in this process: a thread that serves, and a handle on it."""

import asyncio
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import uvicorn

from proctor.localhub import deliveries, people
from proctor.localhub.app import INLINE_LIMIT, App, create_app
from proctor.localhub.deliveries import DeliveryPolicy
from proctor.localhub.faults import Faults
from proctor.localhub.limits import Limits
from proctor.localhub.people import OrgRole, TokenRole

_START_TIMEOUT_S = 30.0


def listen(host: str, port: int) -> socket.socket:
    """A bound TCP socket; port 0 takes a free one."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol spelled out asyncio turns Nagle's delay off: 40 ms less for each answer.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError:
        bound.close()
        raise
    return bound


def address(bound: socket.socket) -> str:
    """The URL of a bound socket, without a slash at the end."""
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def uvicorn_server(app: App) -> uvicorn.Server:
    """A server that keeps quiet: URLs of this hub carry signatures."""
    return uvicorn.Server(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="on",
            proxy_headers=False,
            server_header=False,
            ws="none",
            timeout_graceful_shutdown=1,
        )
    )


class LocalHub:
    """A small Hub on this machine. Use it as a context manager, or ``start`` and ``stop`` it.

    State is in the folder ``root``: a hub started on the same folder goes on where another one
    stopped or was killed. Large files are served from a second port (``cdn_url``), as the Hub
    serves them from another origin. ``port`` 0 takes a free one. The arguments ``limits``,
    ``deliveries`` and ``inline_limit`` are those of :func:`create_app`.
    """

    def __init__(
        self,
        root: Path,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        limits: Limits | None = None,
        deliveries: DeliveryPolicy | None = None,
        inline_limit: int = INLINE_LIMIT,
    ) -> None:
        self._root, self._host, self._port = Path(root), host, port
        self._limits, self._policy, self._inline = limits, deliveries, inline_limit
        self._app: App | None = None
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None
        self._url = self._cdn_url = ""

    def __enter__(self) -> "LocalHub":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """What HF_ENDPOINT is to be."""
        return self._url

    @property
    def cdn_url(self) -> str:
        """Where large files come from."""
        return self._cdn_url

    @property
    def root(self) -> Path:
        return self._root

    @property
    def faults(self) -> Faults:
        """Rules that make requests fail: ``hub.faults.add("/tag/", "503", times=2)``."""
        return self._running.parts.faults

    @property
    def admin_token(self) -> str:
        """Opens ``/_faults`` from elsewhere."""
        return self._running.parts.admin_token

    def start(self) -> None:
        """Serve; returns when requests are answered. Raises ``OSError`` for a port in use and
        ``store.FolderInUse`` for a folder in use."""
        assert self._thread is None, "already started"
        sockets = [listen(self._host, self._port)]
        try:
            sockets.append(listen(self._host, 0))
            self._url, self._cdn_url = address(sockets[0]), address(sockets[1])
            self._app = create_app(
                self._root,
                limits=self._limits,
                deliveries=self._policy,
                inline_limit=self._inline,
                cdn_url=self._cdn_url,
            )
        except BaseException:
            for bound in sockets:
                bound.close()
            raise
        server = self._server = uvicorn_server(self._app)
        self._thread = threading.Thread(
            target=lambda: asyncio.run(server.serve(sockets=sockets)), name="localhub", daemon=True
        )
        self._thread.start()
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                raise RuntimeError("the Local Hub did not start")
            time.sleep(0.005)

    def stop(self) -> None:
        """Stop serving, finish deliveries under way, close the folder. Stopping twice is fine."""
        if self._server is None or self._thread is None:
            return
        self._server.should_exit = True
        self._thread.join()
        self._server = self._thread = self._app = None

    @property
    def _running(self) -> App:
        assert self._app is not None, "not started"
        return self._app

    # -- people -----------------------------------------------------------------------------

    def create_user(self, name: str, *, orgs: Sequence[str] = (), role: OrgRole = "write") -> str:
        """Make a user, and the organizations they belong to; returns a write token."""
        with self._running.parts.store.transaction() as db:
            people.add_user(db, name)
            for org in orgs:
                people.add_org(db, org)
                people.join(db, name, org, role)
            return people.add_token(db, name, "write", "write")

    def create_org(self, name: str) -> None:
        """Make an organization without members."""
        with self._running.parts.store.transaction() as db:
            people.add_org(db, name)

    def create_token(
        self,
        user: str,
        role: TokenRole = "read",
        *,
        name: str = "token",
        scopes: Mapping[str, Sequence[str]] | None = None,
    ) -> str:
        """Another token of a user. Fine-grained ones take ``scopes``: a namespace or repository
        to permissions among ``repo.content.read``, ``repo.write``, ``discussion.write``."""
        with self._running.parts.store.transaction() as db:
            return people.add_token(db, user, role, name, scopes)

    def revoke_token(self, token: str) -> None:
        """From now on this token is answered 401."""
        with self._running.parts.store.transaction() as db:
            people.revoke(db, token)

    # -- webhooks ---------------------------------------------------------------------------

    def deliveries(self, webhook_id: str) -> list[dict[str, Any]]:
        """The log of a webhook's deliveries, newest first: id, scope, action, status (pending,
        delivered, failed), payload and tries."""
        with self._running.parts.store.reading() as db:
            return deliveries.log(db, webhook_id, 1_000)

    def replay(self, webhook_id: str, delivery_id: str) -> None:
        """Send a delivery again, under the same ``Webhook-Id``."""
        with self._running.parts.store.transaction() as db:
            deliveries.replay(db, webhook_id, delivery_id)
        self._running.parts.courier.nudge()

    def wait_delivered(self, timeout_s: float = 10.0) -> bool:
        """Wait until no delivery is pending; False if that takes longer."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            with self._running.parts.store.reading() as db:
                pending = db.execute(
                    "SELECT COUNT(*) FROM deliveries JOIN webhooks ON webhooks.id = webhook"
                    " WHERE status = 'pending' AND NOT disabled"
                ).fetchone()[0]
            if not pending:
                return True
            time.sleep(0.01)
        return False
