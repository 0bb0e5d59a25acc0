"""Users, organizations, memberships and access tokens.

Roles of tokens as on the Hub: ``read``, ``write``, ``fineGrained``. Only digests of tokens are in
the database.
"""

import hashlib
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from proctor.localhub.moment import fresh_id, now
from proctor.localhub.names import owner_name
from proctor.localhub.refusal import bad_request, bad_token
from proctor.localhub.store import Db

TokenRole = Literal["read", "write", "fineGrained"]
OrgRole = Literal["admin", "write", "contributor", "read"]


@dataclass(frozen=True)
class Caller:
    """Who is asking, and what the token allows. ``scopes`` maps an entity (a namespace or a
    repository id) to its permissions; only fine-grained tokens have any."""

    name: str
    token_name: str
    role: TokenRole
    orgs: Mapping[str, str]
    scopes: Mapping[str, frozenset[str]]

    def role_in(self, namespace: str) -> str | None:
        """The caller's role in a namespace, whatever the token: ``admin`` in their own."""
        if namespace.lower() == self.name.lower():
            return "admin"
        return self.orgs.get(namespace.lower())

    def permits(self, repo_id: str, *permissions: str) -> bool:
        """Whether a fine-grained token carries one of ``permissions`` for a repository."""
        namespace = repo_id.split("/")[0]
        granted: frozenset[str] = frozenset()
        for entity in (namespace.lower(), repo_id.lower()):
            granted |= self.scopes.get(entity, frozenset())
        return any(permission in granted for permission in permissions)


def add_user(db: Db, name: str) -> None:
    """Make a user; making one again changes nothing."""
    _add_owner(db, name, "user")


def add_org(db: Db, name: str) -> None:
    """Make an organization; making one again changes nothing."""
    _add_owner(db, name, "org")


def _add_owner(db: Db, name: str, kind: str) -> None:
    owner_name(name)
    row = db.execute("SELECT kind FROM owners WHERE name = ?", (name,)).fetchone()
    if row is not None and row["kind"] != kind:
        raise bad_request(f"{name} is already a {row['kind']}")
    db.execute(
        "INSERT OR IGNORE INTO owners (name, id, kind) VALUES (?, ?, ?)", (name, fresh_id(), kind)
    )


def join(db: Db, user: str, org: str, role: OrgRole = "write") -> None:
    """Make ``user`` a member of ``org``, or change the role."""
    if role not in get_args(OrgRole):
        raise bad_request(f"Unknown role in an organization: {role}")
    db.execute(
        "INSERT OR REPLACE INTO members (org, user, role) VALUES (?, ?, ?)", (org, user, role)
    )


def add_token(
    db: Db,
    user: str,
    role: TokenRole,
    name: str,
    scopes: Mapping[str, Sequence[str]] | None = None,
) -> str:
    """Make an access token and return it: the only moment at which it can be seen."""
    if role not in get_args(TokenRole):
        raise bad_request(f"Unknown token role: {role}")
    if owner(db, user) is None:
        raise bad_request(f"No such user: {user}")
    token = "hf_" + secrets.token_hex(20)
    db.execute(
        "INSERT INTO tokens (digest, user, name, role, scopes, created_at)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (_digest(token), user, name, role, json.dumps(scopes or {}), now()),
    )
    return token


def revoke(db: Db, token: str) -> None:
    """Make a token worthless."""
    db.execute("DELETE FROM tokens WHERE digest = ?", (_digest(token),))


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def caller(db: Db, authorization: str | None) -> Caller | None:
    """Who sent this ``Authorization`` header. None without one; 401 when it is no good."""
    if authorization is None:
        return None
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer":
        raise bad_token()
    row = db.execute(
        "SELECT owners.name AS user, tokens.name, role, scopes FROM tokens"
        " JOIN owners ON owners.name = tokens.user WHERE digest = ?",
        (_digest(token.strip()),),
    ).fetchone()
    if row is None:
        raise bad_token()
    return Caller(
        name=row["user"],
        token_name=row["name"],
        role=row["role"],
        orgs=memberships(db, row["user"]),
        scopes={
            entity.lower(): frozenset(granted)
            for entity, granted in json.loads(row["scopes"]).items()
        },
    )


def memberships(db: Db, user: str) -> dict[str, str]:
    """Lower-case organization name to role."""
    rows = db.execute("SELECT org, role FROM members WHERE user = ?", (user,)).fetchall()
    return {row["org"].lower(): row["role"] for row in rows}


@dataclass(frozen=True)
class Owner:
    """A user or an organization."""

    name: str
    id: str
    kind: str


def owner(db: Db, name: str) -> Owner | None:
    row = db.execute("SELECT * FROM owners WHERE name = ?", (name,)).fetchone()
    return Owner(row["name"], row["id"], row["kind"]) if row else None


def owner_id(db: Db, name: str) -> str:
    """The id of an owner that exists."""
    row = db.execute("SELECT id FROM owners WHERE name = ?", (name,)).fetchone()
    return str(row["id"])


def whoami(db: Db, who: Caller) -> dict[str, Any]:
    """The answer of ``/api/whoami-v2``."""
    token: dict[str, Any] = {"displayName": who.token_name, "role": who.role}
    if who.role == "fineGrained":
        token["fineGrained"] = {
            "canReadGatedRepos": False,
            "global": [],
            "scoped": [
                {"entity": {"name": entity}, "permissions": sorted(granted)}
                for entity, granted in sorted(who.scopes.items())
            ],
        }
    orgs = [
        {"type": "org", "id": found.id, "name": found.name, "roleInOrg": role}
        for org, role in sorted(who.orgs.items())
        if (found := owner(db, org))
    ]
    return {
        "type": "user",
        "id": owner_id(db, who.name),
        "name": who.name,
        "fullname": who.name,
        "isPro": False,
        "orgs": orgs,
        "auth": {"type": "access_token", "accessToken": token},
    }
