"""PostgreSQL through psycopg."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import urlsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict

from proctor.ledger.drivers import BUSY_TIMEOUT, postgres_arguments
from proctor.ledger.refusals import refusal

_SCHEME: Final = re.compile(r"postgres(ql)?(\+psycopg)?://")


class Postgres:
    """A server; see `direct.database.Database`."""

    shared = True
    errors: tuple[type[Exception], ...] = (psycopg.Error,)

    def __init__(self, url: str) -> None:
        """Raises ValueError, without repeating the URL: it may hold a password."""
        found = _SCHEME.match(url)
        if found is None:
            raise ValueError("the ledger lives in SQLite or PostgreSQL")
        try:
            # https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS
            self._address = conninfo_to_dict("postgresql://" + url[found.end() :])
        except psycopg.ProgrammingError:
            raise ValueError(
                "not a database URL; expected postgresql+psycopg://user@host/name"
            ) from None
        parts = urlsplit("postgresql://" + url[found.end() :])
        self.place = f"postgresql+psycopg://{parts.netloc.rpartition('@')[2]}{parts.path}"
        password = self._address.get("password")
        self._password = str(password) if password else None

    def connect(self) -> PostgresConnection:
        """Open a connection."""
        given = str(self._address.get("options") or "")
        arguments = {**self._address, **postgres_arguments(BUSY_TIMEOUT, given)}
        # Transactions are begun by hand: psycopg itself would begin one for a look at the clock.
        return PostgresConnection(psycopg.connect(**arguments, autocommit=True))

    @contextmanager
    def told(self) -> Iterator[None]:
        """See `Database`."""
        try:
            yield
        except psycopg.Error as error:
            refused = refusal(error, self.place, self._password)
            if refused is None:
                raise
            raise refused from error


class PostgresConnection:
    """See `direct.database.Connection`."""

    postgres = True

    def __init__(self, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
        self._connection = connection

    @property
    def dead(self) -> bool:
        """The server hung up."""
        return self._connection.broken

    def begin(self) -> None:
        """Begin a transaction."""
        self._connection.execute("BEGIN ISOLATION LEVEL READ COMMITTED")

    def commit(self) -> None:
        """It is on the disk when this returns."""
        self._connection.execute("COMMIT")

    def rows(self, statement: str, bound: Sequence[Any]) -> Sequence[Sequence[Any]]:
        """See `Statements`."""
        return self._connection.execute(statement.encode(), bound).fetchall()

    def count(self, statement: str, bound: Sequence[Any]) -> int:
        """See `Statements`."""
        return self._connection.execute(statement.encode(), bound).rowcount

    def close(self) -> None:
        """Also rolls back."""
        self._connection.close()
