"""What the Local Hub remembers: read from its folder, so that no fault can come between."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class RefMove:
    """A ref that moved at a time (seconds since the epoch). One event may tell several."""

    at: float
    hub_id: str
    repo: str
    ref: str
    old: str | None
    new: str | None


@dataclass(frozen=True, slots=True)
class Sent:
    """A delivery: its Webhook-Id, when it happened (seconds since the epoch), and how often it was
    answered with 2xx."""

    id: str
    at: float
    repo: str
    acknowledged: int
    refs: tuple[tuple[str, str | None], ...]


@dataclass(frozen=True, slots=True)
class HubRecord:
    """Reads `folder`, where a Local Hub keeps its state. May be used while it serves."""

    folder: Path

    def refs(self, repo: str) -> Mapping[str, str]:
        """Full ref name -> sha, now."""
        query = "SELECT ref, sha FROM refs JOIN repos ON repos.id = refs.repo WHERE repos.name = ?"
        return {row[0]: row[1] for row in self._rows(query, repo)}

    def repos(self) -> Mapping[str, str]:
        """Name by id."""
        return {row[0]: row[1] for row in self._rows("SELECT id, name FROM repos")}

    def moves(self, witness: str) -> Sequence[RefMove]:
        """Every move of a ref that this webhook was to be told of, in order."""
        query = "SELECT body, created_at FROM deliveries WHERE webhook = ? ORDER BY rowid"
        found = []
        for text, at in self._rows(query, witness):
            body = json.loads(text)
            repo = body["repo"]
            for move in body.get("updatedRefs", ()):
                ref, old, new = move["ref"], move["oldSha"], move["newSha"]
                found.append(RefMove(at, repo["id"], repo["name"], ref, old, new))
        return found

    def sent(self, webhook: str) -> Sequence[Sent]:
        """Every delivery to a webhook, in order."""
        query = (
            "SELECT id, created_at, body, (SELECT count(*) FROM tries"
            " WHERE delivery = deliveries.id AND answer BETWEEN 200 AND 299)"
            " FROM deliveries WHERE webhook = ? ORDER BY rowid"
        )
        return [
            _sent(webhook_id, at, json.loads(body), int(acknowledged))
            for webhook_id, at, body, acknowledged in self._rows(query, webhook)
        ]

    def _rows(self, query: str, *values: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.folder / "hub.sqlite3", timeout=30)) as db:
            return db.execute(query, values).fetchall()


def _sent(webhook_id: str, at: float, body: Mapping[str, Any], acknowledged: int) -> Sent:
    refs = tuple((m["ref"], m["newSha"]) for m in body.get("updatedRefs", ()))
    return Sent(webhook_id, at, body["repo"]["name"], acknowledged, refs)


class _Nod(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@contextmanager
def witness() -> Iterator[str]:
    """The address of someone who says yes to every delivery: what the Hub notes down about them
    is the whole history."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Nod) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/"
        finally:
            server.shutdown()
            thread.join()
