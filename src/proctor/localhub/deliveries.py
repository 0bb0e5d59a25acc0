"""Sends the deliveries that are due, over HTTP, in the background.

State is in the store: a restart goes on where the last process stopped. A process killed between
the receiver's answer and our note of it sends once more, under the same ``Webhook-Id``. The Hub's
number of retries, waits and timeout are not documented; ``DeliveryPolicy`` makes them choices.
"""

import json
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx2

from proctor.localhub.moment import iso, now
from proctor.localhub.refusal import Refusal
from proctor.localhub.store import Db, Store

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DeliveryPolicy:
    """How hard to try. The wait before try n+1 is ``first_wait_s * 4 ** (n - 1)``, at most
    ``longest_wait_s``; after ``suspend_after`` deliveries in a row that failed for good, the
    webhook is suspended until its owner enables it again. Times are in seconds.

    ``with_id=False`` leaves the ``Webhook-Id`` header out, as the Hub did before 2026-08-31."""

    tries: int = 6
    first_wait_s: float = 1.0
    longest_wait_s: float = 300.0
    timeout_s: float = 10.0
    suspend_after: int = 10
    parallel: int = 4
    with_id: bool = True

    def wait_s(self, tries: int) -> float:
        return float(min(self.first_wait_s * 4.0 ** (tries - 1), self.longest_wait_s))


@dataclass(frozen=True)
class _Parcel:
    id: str
    webhook: str
    body: bytes
    tries: int
    url: str
    secret: str | None


class Courier:
    """The background sender. ``start`` and ``stop`` it; ``nudge`` it when there is news."""

    def __init__(self, store: Store, policy: DeliveryPolicy) -> None:
        self._store, self._policy = store, policy
        self._news, self._stopping = threading.Event(), threading.Event()
        self._under_way: set[str] = set()
        self._guard = threading.Lock()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="localhub-courier", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop sending; what is under way is finished first."""
        self._stopping.set()
        self._news.set()
        if self._thread is not None:
            self._thread.join()

    def nudge(self) -> None:
        self._news.set()

    def _run(self) -> None:
        # trust_env: a proxy meant for the internet must not see what stays on this machine.
        with (
            httpx2.Client(timeout=self._policy.timeout_s, trust_env=False) as client,
            ThreadPoolExecutor(self._policy.parallel, "localhub-courier") as pool,
        ):
            while not self._stopping.is_set():
                self._news.clear()
                try:
                    for parcel in self._due():
                        pool.submit(self._send, client, parcel)
                    wait_s = self._next_wait()
                except Exception:
                    # A full disk, say: webhooks must go on when it is over.
                    _log.exception("looking for due deliveries failed")
                    wait_s = 1.0
                self._news.wait(wait_s)

    def _due(self) -> list[_Parcel]:
        with self._guard, self._store.reading() as db:
            free = self._policy.parallel - len(self._under_way)
            rows = db.execute(
                "SELECT deliveries.*, url, secret FROM deliveries"
                " JOIN webhooks ON webhooks.id = webhook"
                " WHERE status = 'pending' AND due_at <= ? AND NOT disabled"
                " ORDER BY due_at LIMIT ?",
                (now(), self._policy.parallel * 2),
            ).fetchall()
            parcels = [
                _Parcel(
                    row["id"],
                    row["webhook"],
                    row["body"].encode(),
                    row["tries"],
                    row["url"],
                    row["secret"],
                )
                for row in rows
                if row["id"] not in self._under_way
            ][:free]
            self._under_way.update(parcel.id for parcel in parcels)
        return parcels

    def _next_wait(self) -> float:
        """Seconds until something is due: nobody polls a hub where nothing happens."""
        with self._guard, self._store.reading() as db:
            if len(self._under_way) >= self._policy.parallel:
                return 60.0  # whoever comes back first nudges
            rows = db.execute(
                "SELECT deliveries.id, due_at FROM deliveries"
                " JOIN webhooks ON webhooks.id = webhook"
                " WHERE status = 'pending' AND NOT disabled ORDER BY due_at LIMIT ?",
                (self._policy.parallel * 2,),
            ).fetchall()
            due = [row["due_at"] for row in rows if row["id"] not in self._under_way]
        return min(60.0, max(0.0, min(due) - now())) if due else 60.0

    def _send(self, client: httpx2.Client, parcel: _Parcel) -> None:
        answer, error = None, None
        headers = {"Content-Type": "application/json"}
        if self._policy.with_id:
            headers["Webhook-Id"] = parcel.id
        if parcel.secret is not None:
            headers["X-Webhook-Secret"] = parcel.secret
        try:
            with client.stream("POST", parcel.url, content=parcel.body, headers=headers) as reply:
                # The answer's body is of no interest, and nobody bounds its length.
                answer = reply.status_code
        except Exception as failure:
            # Only the kind: the message could quote a URL with ``?secret=`` in it.
            error = type(failure).__name__
        try:
            self._note(parcel, answer, error)
        except Exception:
            _log.exception("delivery %s could not be noted", parcel.id)
        finally:
            with self._guard:
                self._under_way.discard(parcel.id)
            self._news.set()

    def _note(self, parcel: _Parcel, answer: int | None, error: str | None) -> None:
        delivered = answer is not None and 200 <= answer < 300
        tries = parcel.tries + 1
        with self._store.transaction() as db:
            _note_try(db, parcel.id, answer, error)
            if delivered:
                status, due_at = "delivered", now()
                db.execute("UPDATE webhooks SET failures = 0 WHERE id = ?", (parcel.webhook,))
            elif tries < self._policy.tries:
                status, due_at = "pending", now() + self._policy.wait_s(tries)
            else:
                status, due_at = "failed", now()
                db.execute(
                    "UPDATE webhooks SET failures = failures + 1,"
                    " suspended = suspended OR failures + 1 >= :n,"
                    " disabled = disabled OR failures + 1 >= :n WHERE id = :id",
                    {"n": self._policy.suspend_after, "id": parcel.webhook},
                )
            db.execute(
                "UPDATE deliveries SET status = ?, tries = ?, due_at = ? WHERE id = ?",
                (status, tries, due_at, parcel.id),
            )
        _log.debug("delivery %s: %s (%s)", parcel.id, status, answer or error)


def _note_try(db: Db, delivery: str, answer: int | None, error: str | None) -> None:
    replay = db.execute(
        "SELECT COUNT(*) FROM tries WHERE delivery = ? AND answer BETWEEN 200 AND 299", (delivery,)
    ).fetchone()[0]
    db.execute(
        "INSERT INTO tries (delivery, at, answer, error, replay) VALUES (?, ?, ?, ?, ?)",
        (delivery, now(), answer, error, bool(replay)),
    )


def log(db: Db, webhook: str, limit: int) -> list[dict[str, Any]]:
    """The newest deliveries of a webhook with their tries, newest first. No secret is in them."""
    rows = db.execute(
        "SELECT rowid, * FROM deliveries WHERE webhook = ? ORDER BY rowid DESC LIMIT ?",
        (webhook, limit),
    ).fetchall()
    return [
        {
            "id": row["id"],
            "webhook": webhook,
            "scope": row["scope"],
            "action": row["action"],
            "status": row["status"],
            "createdAt": iso(row["created_at"]),
            "payload": json.loads(row["body"]),
            "tries": [
                {
                    "at": iso(attempt["at"]),
                    "answer": attempt["answer"],
                    "error": attempt["error"],
                    "replay": bool(attempt["replay"]),
                }
                for attempt in db.execute(
                    "SELECT * FROM tries WHERE delivery = ? ORDER BY at, rowid", (row["id"],)
                ).fetchall()
            ],
        }
        for row in rows
    ]


def replay(db: Db, webhook: str, delivery: str) -> None:
    """Send a delivery again, under its old ``Webhook-Id``: what the Replay button does."""
    changed = db.execute(
        "UPDATE deliveries SET status = 'pending', tries = 0, due_at = ?"
        " WHERE id = ? AND webhook = ?",
        (now(), delivery, webhook),
    ).rowcount
    if not changed:
        raise Refusal(404, "Delivery not found")
