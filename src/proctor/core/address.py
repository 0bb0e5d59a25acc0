"""Addresses of databases: one reading for all who need one, or who must keep its password quiet.

The form is SQLAlchemy's, https://docs.sqlalchemy.org/en/20/core/engines.html#database-urls: in user
and password whatever has a meaning in a URL is percent-encoded, and what is not is taken as it is
as far as it can be told apart.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl, unquote

SQLITE: Final = "sqlite"
POSTGRESQL: Final = "postgresql+psycopg"
_NAMES: Final = {
    "sqlite": SQLITE,
    "sqlite+pysqlite": SQLITE,
    "postgres": POSTGRESQL,
    "postgresql": POSTGRESQL,
    "postgresql+psycopg": POSTGRESQL,
}

_URL: Final = re.compile(
    r"(?P<name>[\w+]+)://"
    r"(?:(?P<user>[^:/]*)(?::(?P<password>[^@]*))?@)?"
    r"(?:\[(?P<ipv6>[^/?]+)\]|(?P<host>[^/:?]+))?(?::(?P<port>[0-9]*))?"
    r"(?:/(?P<database>[^?]*))?(?:\?(?P<query>.*))?"
)
_HOST_AND_PORT: Final = re.compile(r"([A-Za-z0-9.-]*)(?::([0-9]*))?")


@dataclass(frozen=True, slots=True)
class Address:
    """Where a database is. `kind` is SQLITE (`database` is a path then) or POSTGRESQL; `query`
    holds what else the driver is given."""

    kind: str
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    host: str | None = None
    port: int | None = None
    database: str | None = None
    query: Mapping[str, Sequence[str]] = field(default_factory=dict, repr=False)

    @property
    def place(self) -> str:
        """The address for people: nothing of it is a secret."""
        host = f"[{self.host}]" if self.host and ":" in self.host else self.host or ""
        port = f":{self.port}" if self.port is not None else ""
        path = "" if self.database is None else f"/{self.database}"
        return f"{self.kind}://{host}{port}{path}"

    def arguments(self) -> dict[str, str]:
        """What psycopg connects with. Several hosts come as `?host=one:5432&host=two:5432`, see
        https://docs.sqlalchemy.org/en/20/dialects/postgresql.html#specifying-multiple-fallback-hosts
        """
        hosts = list(self.query.get("host", ())) or ([self.host] if self.host else [])
        ports = list(self.query.get("port", ())) or ([str(self.port)] if self.port else [])
        told = [_HOST_AND_PORT.fullmatch(host) for host in self.query.get("host", ())]
        if len(told) > 1 or any(match and match[2] for match in told):
            hosts = [match[1] if match else host for match, host in zip(told, hosts, strict=True)]
            ports = [(match[2] or "") if match else "" for match in told]
        found = {name: values[-1] for name, values in self.query.items()}
        found |= {
            "user": self.user or "",
            "password": self.password or "",
            "dbname": self.database or "",
            "host": ",".join(hosts),
            "port": ",".join(ports),
        }
        return {name: value for name, value in found.items() if value}


def read_address(text: str) -> Address:
    """The address that a URL gives. Raises ValueError, which repeats nothing of it: it may hold a
    password."""
    match = _URL.fullmatch(text)
    if match is None:
        raise ValueError(
            "not a database URL; expected sqlite:///path or postgresql+psycopg://user@host/name"
        )
    kind = _NAMES.get(match["name"])
    if kind is None:
        # Not the name: it is anything that stands before "://".
        raise ValueError(
            "the ledger lives in SQLite or PostgreSQL: give sqlite:/// or postgresql://"
        )
    if kind == SQLITE and match["query"] is not None:
        raise ValueError("the URL of a SQLite file takes no options: give sqlite:///path")
    query: dict[str, list[str]] = {}
    for name, value in parse_qsl(match["query"] or ""):
        query.setdefault(name, []).append(value)
    return Address(
        kind,
        _decoded(match["user"]),
        _decoded(match["password"]),
        match["ipv6"] or match["host"],
        int(match["port"]) if match["port"] else None,
        _decoded(match["database"]),
        query,
    )


def _decoded(text: str | None) -> str | None:
    return None if text is None else unquote(text)
