"""Webhook subscriptions: what a user wants to be told about, and where.

Watched items and domains: https://huggingface.co/docs/hub/webhooks. The limit of 1,000 triggers
per day is not imitated, as what the Hub does beyond it is not documented.
"""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from proctor.localhub import repos
from proctor.localhub.moment import fresh_id, now
from proctor.localhub.names import REPO_TYPES
from proctor.localhub.refusal import Refusal, bad_request
from proctor.localhub.repos import Repo
from proctor.localhub.store import Db

# The client's constants say "discussion", older ones "discussions": either is kept as written.
_DOMAINS = {"repo": "repo", "discussion": "discussion", "discussions": "discussion"}
_WATCHABLE = ("user", "org", *REPO_TYPES)


@dataclass(frozen=True)
class Webhook:
    """A subscription. ``suspended`` means that deliveries failed too often, not that its owner
    disabled it; ``disabled`` is true in both cases."""

    id: str
    user: str
    url: str
    secret: str | None
    watched: tuple[tuple[str, str], ...]
    domains: tuple[str, ...]
    disabled: bool
    suspended: bool

    def as_json(self) -> dict[str, Any]:
        answer: dict[str, Any] = {
            "id": self.id,
            "url": self.url,
            "watched": [{"type": kind, "name": name} for kind, name in self.watched],
            "domains": list(self.domains),
            "disabled": self.disabled,
            "suspended": self.suspended,
        }
        if self.secret is not None:
            answer["secret"] = self.secret
        return answer


def _webhook(row: sqlite3.Row) -> Webhook:
    return Webhook(
        row["id"],
        row["user"],
        row["url"],
        row["secret"],
        tuple((kind, name) for kind, name in json.loads(row["watched"])),
        tuple(json.loads(row["domains"])),
        bool(row["disabled"]),
        bool(row["suspended"]),
    )


def create(db: Db, user: str, wish: Mapping[str, Any]) -> Webhook:
    """Subscribe; 400 when the wish makes no sense."""
    if "url" not in wish:
        raise bad_request("A webhook needs a url; webhooks that start Jobs are not offered here")
    hook_id = fresh_id()
    db.execute(
        "INSERT INTO webhooks (id, user, url, secret, watched, domains, created_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            hook_id,
            user,
            _url(wish["url"]),
            _secret(wish.get("secret")),
            json.dumps(_watched(wish.get("watched", []))),
            json.dumps(_domains(wish.get("domains", ["repo", "discussion"]))),
            now(),
        ),
    )
    return get(db, user, hook_id)


def update(db: Db, user: str, hook_id: str, wish: Mapping[str, Any]) -> Webhook:
    """Change what ``wish`` names; the rest stays."""
    hook = get(db, user, hook_id)
    db.execute(
        "UPDATE webhooks SET url = ?, secret = ?, watched = ?, domains = ? WHERE id = ?",
        (
            _url(wish.get("url", hook.url)),
            _secret(wish.get("secret", hook.secret)),
            json.dumps(_watched(wish["watched"]) if "watched" in wish else hook.watched),
            json.dumps(_domains(wish["domains"]) if "domains" in wish else hook.domains),
            hook_id,
        ),
    )
    return get(db, user, hook_id)


def switch(db: Db, user: str, hook_id: str, *, disabled: bool) -> Webhook:
    """Disable or enable; enabling forgives earlier failures."""
    get(db, user, hook_id)
    db.execute(
        "UPDATE webhooks SET disabled = ?, suspended = 0, failures = 0 WHERE id = ?",
        (disabled, hook_id),
    )
    return get(db, user, hook_id)


def delete(db: Db, user: str, hook_id: str) -> None:
    get(db, user, hook_id)
    db.execute("DELETE FROM webhooks WHERE id = ?", (hook_id,))
    db.execute(
        "DELETE FROM tries WHERE delivery IN (SELECT id FROM deliveries WHERE webhook = ?)",
        (hook_id,),
    )
    db.execute("DELETE FROM deliveries WHERE webhook = ?", (hook_id,))


def get(db: Db, user: str, hook_id: str) -> Webhook:
    """The user's webhook; 404 when there is none or it is someone else's."""
    row = db.execute("SELECT * FROM webhooks WHERE id = ? AND user = ?", (hook_id, user)).fetchone()
    if row is None:
        raise Refusal(404, "Webhook not found")
    return _webhook(row)


def of_user(db: Db, user: str) -> list[Webhook]:
    rows = db.execute(
        "SELECT * FROM webhooks WHERE user = ? ORDER BY created_at, id", (user,)
    ).fetchall()
    return [_webhook(row) for row in rows]


def active(db: Db) -> list[Webhook]:
    return [_webhook(row) for row in db.execute("SELECT * FROM webhooks WHERE NOT disabled")]


def wants(db: Db, hook: Webhook, repo: Repo, scope: str) -> bool:
    """Whether the subscription covers this kind of event on this repository."""
    domain = scope.split(".")[0]
    if domain not in {_DOMAINS[written] for written in hook.domains}:
        return False
    return any(_covers(db, kind, name, repo) for kind, name in hook.watched)


def _covers(db: Db, kind: str, name: str, repo: Repo) -> bool:
    if kind in ("user", "org"):
        return name.lower() == repo.namespace.lower()
    if kind != repo.type:
        return False
    if name.lower() == repo.name.lower():
        return True
    # A repository stays watched after a move: by the name it had.
    moved = repos.moved_from(db, repo.type, name)
    return moved is not None and moved.id == repo.id


def _url(url: object) -> str:
    if not isinstance(url, str) or len(url) > 2_000:
        raise bad_request("The webhook's url is not a string of at most 2000 characters")
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        usable = False
    if not usable:
        raise bad_request("The webhook's url is not an http(s) address")
    return url


def _secret(secret: object) -> str | None:
    """Sent verbatim in a header, hence ASCII without control characters."""
    if secret is None or secret == "":
        return None
    if not isinstance(secret, str) or not secret.isascii() or not secret.isprintable():
        raise bad_request("The webhook's secret must be printable ASCII")
    return secret


def _watched(items: object) -> list[tuple[str, str]]:
    if not isinstance(items, Sequence) or isinstance(items, str):
        raise bad_request("watched must be a list of {type, name}")
    watched = []
    for item in items:
        kind, name = (
            (item.get("type"), item.get("name")) if isinstance(item, Mapping) else (None, None)
        )
        if kind not in _WATCHABLE or not isinstance(name, str) or not name:
            raise bad_request(f"A watched item needs a name and a type of {', '.join(_WATCHABLE)}")
        watched.append((str(kind), name))
    return watched


def _domains(domains: object) -> list[str]:
    if not isinstance(domains, list) or not all(
        isinstance(domain, str) and domain in _DOMAINS for domain in domains
    ):
        raise bad_request(f"domains must be among {', '.join(_DOMAINS)}")
    return list(domains)
