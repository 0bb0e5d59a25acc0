"""The Celery app, built from explicit values.

What is switched off matters as much as what is on: no result backend, no eta or countdown, no
chords, no events, no remote control. State lives in the ledger, so Celery only has to carry ids.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from celery import Celery  # type: ignore[import-untyped]  # Celery ships no types
from kombu.entity import Queue

from proctor.queue.jobs import register

QUEUES = ("io", "eval")
"""Light work, and work that fills a machine."""

SOCKET_TIMEOUT = 2.0
"""Seconds that one read, write or connect to Redis may take. Without it a broker that accepts
and never answers blocks the caller for ever."""

POLLING_INTERVAL = 0.05
"""Seconds between two looks into the folder of the embedded broker."""

_QUEUE_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")


class App(Celery):  # type: ignore[misc]  # Celery ships no types
    """A Celery app that knows its broker and, in a worker, what to do with a step's id.

    The broker is what was given, whatever CELERY_BROKER_URL says in the environment.
    """

    broker_url: str
    perform: Callable[[str], None] | None = None

    def connection_for_read(self, url: str | None = None, **options: Any) -> Any:
        """A kombu connection to consume from."""
        return super().connection_for_read(url or self.broker_url, **options)

    def connection_for_write(self, url: str | None = None, **options: Any) -> Any:
        """A kombu connection to publish on."""
        return super().connection_for_write(url or self.broker_url, **options)

    def look(self, step_id: str) -> None:
        """Look at the step. Raises RuntimeError outside a worker."""
        if self.perform is None:
            raise RuntimeError("this process is not a worker: nothing performs steps here")
        self.perform(step_id)


def make_app(broker_url: str, queues: Sequence[str] = QUEUES) -> App:
    """An app for the broker at `broker_url`, with its queues and jobs; connects to nothing.

    `redis://…`, `rediss://…`, or `filesystem:///absolute/folder` for the embedded broker. Raises
    ValueError for anything else, and for a queue's name other than lower-case letters, digits
    and dashes. The message holds no password.

    Messages are acknowledged early, when a worker takes them. Late acknowledgement would only
    bring redeliveries (after Redis' visibility timeout, in the middle of a long eval) of hints
    that the sweep sends again anyway.
    """
    for queue in queues:
        check_queue_name(queue)
    app = App("proctor", set_as_current=False, fixups=[])  # the Django one imports the worker
    app.broker_url = broker_url.replace("filesystem:///", "filesystem://localhost/", 1)
    app.conf.update(
        accept_content=["json"],
        task_serializer="json",
        result_backend=None,
        task_ignore_result=True,
        task_store_errors_even_if_ignored=False,
        task_acks_late=False,
        task_queues=[Queue(name) for name in queues],  # type: ignore[no-untyped-call]  # half typed
        task_default_queue=queues[0],
        task_publish_retry=False,
        task_send_sent_event=False,
        worker_send_task_events=False,
        worker_enable_remote_control=False,
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        broker_pool_limit=0,
        broker_connection_timeout=SOCKET_TIMEOUT,
        broker_connection_retry=True,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_channel_error_retry=True,
        **_transport(broker_url),
    )
    register(app, app.look)
    app.finalize()
    return app


def check_queue_name(name: str) -> None:
    """Raises ValueError unless `name` can name a queue on every broker."""
    if not _QUEUE_NAME.fullmatch(name):
        raise ValueError(
            f"{name[:40]!r} cannot name a queue: use lower-case letters, digits and dashes"
        )


def _transport(broker_url: str) -> dict[str, object]:
    parts = urlsplit(broker_url)
    if parts.scheme in ("redis", "rediss"):
        tls = parts.scheme == "rediss"
        if not parts.hostname:
            raise ValueError(f"the broker URL names no host: {parts.scheme}://HOST:PORT/NUMBER")
        options: dict[str, object] = {
            "socket_timeout": SOCKET_TIMEOUT,
            "socket_connect_timeout": SOCKET_TIMEOUT,
            "socket_keepalive": True,
            "health_check_interval": 25,
            "global_keyprefix": "proctor:",
            "priority_steps": [0],  # ours have none: one list for a queue, not four
        }
        return {
            # Certificates are checked unless the URL says ?ssl_cert_reqs=none.
            "broker_use_ssl": {"ssl_cert_reqs": ssl.CERT_REQUIRED} if tls else None,
            "broker_transport": "proctor.queue.redis_lists:Transport",
            "broker_transport_options": options,
        }
    if parts.scheme == "filesystem":
        folder = Path(unquote(parts.path))
        if parts.netloc or not folder.is_absolute() or folder == Path("/"):
            raise ValueError("the embedded broker needs a folder: filesystem:///absolute/path")
        return {
            "broker_transport": "proctor.queue.folder:Transport",
            "broker_transport_options": {
                "folder": str(folder),
                "polling_interval": POLLING_INTERVAL,
            },
        }
    raise ValueError(
        f"no broker of the kind {parts.scheme[:20]!r}: "
        "use redis://, rediss:// or filesystem:///absolute/path"
    )
