"""The embedded broker: a kombu transport over one folder, for one machine.

kombu's own filesystem transport reads files that are still being written, dies on half a
message and passes messages through the shared temporary folder. Here a message appears whole
(written aside, then linked into place), is taken by an atomic rename, and garbage is dropped.

Layout: `FOLDER/QUEUE/<digest>.msg`. The digest is that of job and arguments, so waking a step
that waits already adds nothing: a queue holds at most one message per step, however often the
sweep asks while no worker runs.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import logging
import os
import re
import secrets
import time
from collections import deque
from pathlib import Path
from queue import Empty
from typing import Any

from kombu.exceptions import ChannelError
from kombu.transport import virtual

from proctor.queue.bounds import MAX_MESSAGES, QueueFull

MAX_BYTES = 16_384
"""The largest message; a hint takes about 700 bytes."""

LEFTOVER_AGE = 3600.0
"""Seconds after which a file that a killed process left half-way is removed."""

_TURN = 0.5
"""Seconds after which waiting for messages pauses, so that a stopping worker notices."""

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_MESSAGE = ".msg"

log = logging.getLogger(__name__)


class Channel(virtual.Channel):
    """One user of the folder. Not for use by two threads at once."""

    supports_fanout = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[no-untyped-call]  # kombu is half typed
        self._seen: dict[str, deque[Path]] = {}

    @property
    def folder(self) -> Path:
        """The folder that holds the queues."""
        return Path(self.connection.client.transport_options["folder"])

    def _box(self, queue: str) -> Path:
        if not _NAME.fullmatch(queue):
            raise ChannelError(f"{queue[:64]!r} cannot name a queue")
        box = self.folder / queue
        box.mkdir(mode=0o700, parents=True, exist_ok=True)
        return box

    def _put(self, queue: str, message: dict[str, Any], **_: Any) -> None:
        text = json.dumps(message).encode()
        if len(text) > MAX_BYTES:
            raise ChannelError(f"a message of {len(text)} bytes is not a hint")
        box = self._box(queue)
        if sum(1 for _ in box.iterdir()) >= MAX_MESSAGES:
            raise QueueFull(f"queue {queue} is full: {MAX_MESSAGES} messages wait for a worker")
        place = box / (_digest(message) + _MESSAGE)
        draft = box / f".{secrets.token_hex(8)}.draft"
        try:
            draft.write_bytes(text)
            try:
                os.link(draft, place)
            except FileExistsError:
                pass  # the same hint waits already, and whoever takes it looks after this moment
            except OSError:
                draft.replace(place)  # a filesystem without links
        finally:
            draft.unlink(missing_ok=True)

    def _get(self, queue: str, timeout: float | None = None) -> dict[str, Any]:
        box = self._box(queue)
        seen = self._seen.get(queue)
        if not seen:
            seen = self._seen[queue] = deque(_oldest_first(box))
        while seen:
            message = _take(seen.popleft())
            if message is not None:
                return message
        raise Empty

    def _size(self, queue: str) -> int:
        return len(_oldest_first(self._box(queue)))

    def _purge(self, queue: str) -> int:
        paths = _oldest_first(self._box(queue))
        for path in paths:
            path.unlink(missing_ok=True)
        return len(paths)


class Transport(virtual.Transport):
    """The transport; its options are `folder` and `polling_interval` (seconds)."""

    Channel = Channel
    default_port = 0  # type: ignore[assignment]  # kombu's own transports do the same
    driver_type = "filesystem"
    driver_name = "filesystem"
    connection_errors = (*virtual.Transport.connection_errors, OSError)  # type: ignore[assignment]  # likewise

    def establish_connection(self) -> Any:
        """Raises OSError unless the folder can be written."""
        assert self.client is not None
        folder = Path(self.client.transport_options["folder"])
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        probe = folder / f".{secrets.token_hex(8)}.draft"
        probe.touch()
        probe.unlink()
        _sweep_leftovers(folder)
        return super().establish_connection()  # type: ignore[no-untyped-call]  # half typed

    def drain_events(self, connection: Any, timeout: float | None = None, **_: Any) -> None:
        """Deliver one message. Raises TimeoutError when none comes within a short turn."""
        if timeout is not None:
            timeout = min(timeout, _TURN)
        super().drain_events(connection, timeout=timeout)  # type: ignore[no-untyped-call]  # half typed


def _digest(message: dict[str, Any]) -> str:
    headers = message.get("headers") or {}
    told = f"{headers.get('task')}\n{message.get('body')}"
    return hashlib.sha256(told.encode()).hexdigest()[:32]


def _oldest_first(box: Path) -> list[Path]:
    found: list[tuple[int, Path]] = []
    with os.scandir(box) as entries:
        for entry in entries:
            if entry.name.endswith(_MESSAGE) and not entry.name.startswith("."):
                with contextlib.suppress(FileNotFoundError):  # another worker was faster
                    found.append((entry.stat(follow_symlinks=False).st_mtime_ns, Path(entry.path)))
    return [path for _, path in sorted(found)]


def _take(path: Path) -> dict[str, Any] | None:
    """The message at `path`, ours alone; None when another took it or it is garbage."""
    mine = path.with_name(f".{secrets.token_hex(8)}.taken")
    try:
        path.rename(mine)
    except FileNotFoundError:
        return None
    try:
        with mine.open("rb") as file:
            text = file.read(MAX_BYTES + 1)
        mine.unlink()
    except OSError as error:
        log.warning("dropped %s: cannot be read (%s)", path.name, type(error).__name__)
        return None
    message = _parse(text)
    if message is None:
        log.warning("dropped %s: not a message", path.name)
    return message


def _parse(text: bytes) -> dict[str, Any] | None:
    if len(text) > MAX_BYTES:
        return None
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(message, dict):
        return None
    properties = message.get("properties")
    if not isinstance(properties, dict) or not isinstance(message.get("headers"), dict):
        return None
    route = properties.get("delivery_info")
    texts = (
        message.get("body"),
        message.get("content-type"),
        message.get("content-encoding"),
        properties.get("delivery_tag"),
        *(
            (route.get("exchange"), route.get("routing_key"))
            if isinstance(route, dict)
            else (None,)
        ),
    )
    if not all(isinstance(text, str) for text in texts):
        return None
    if properties.get("body_encoding") != "base64":
        return None
    try:
        base64.b64decode(message["body"], validate=True)
    except ValueError:
        return None
    return message


def _sweep_leftovers(folder: Path) -> None:
    limit = time.time() - LEFTOVER_AGE
    for pattern in (".*.draft", "*/.*.draft", "*/.*.taken"):
        for path in folder.glob(pattern):
            with contextlib.suppress(OSError):
                if path.lstat().st_mtime < limit:
                    path.unlink()
