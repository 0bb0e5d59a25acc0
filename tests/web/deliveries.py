"""Deliveries as the Hub sends them, in one piece or in several."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Sequence
from typing import Any

from tests.web.conftest import SECRET, Answer, Site, read_answer, sample, send_apart

PUSH = sample("repo.content-push")
HEADERS = (
    ("Host", "proctor.test"),
    ("Content-Type", "application/json"),
    ("X-Webhook-Secret", SECRET),
    ("User-Agent", "hub"),
)


def request(
    body: bytes = PUSH,
    *more: tuple[str, str],
    headers: Iterable[tuple[str, str]] = HEADERS,
    line: str = "POST /webhooks/hub HTTP/1.1",
    length: str | None = None,
) -> bytes:
    """A delivery as the Hub sends it."""
    told = [*headers, *more, ("Content-Length", length or str(len(body)))]
    lines = [line, *(f"{name}: {value}" for name, value in told)]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def send(site: Site, *pieces: bytes) -> Answer:
    """Send a request in these pieces; the answer."""
    with socket.create_connection(("127.0.0.1", site.port), timeout=60) as connection:
        send_apart(connection, *pieces)
        return read_answer(connection)


def recorded(site: Site) -> Sequence[tuple[Any, ...]]:
    """What is on record of each delivery, but for ids and times."""
    with site.ledger.view() as view:
        found = view.deliveries()
        events = {event.id: event for event in view.events()}
    return [
        (
            delivery.webhook_id,
            sorted(delivery.headers),
            delivery.body,
            delivery.disposition,
            (event := events[delivery.event_id or ""]).identity,
            event.repo_name,
        )
        for delivery in found
    ]
