"""What a deployment stands on, and how to shake it: database and broker."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import psycopg
import redis
from tests.chaos.broker_wire import BrokerWire


class Server(Protocol):
    """A PostgreSQL that can be stopped and started; its databases stay."""

    def start(self) -> None: ...
    def stop(self) -> None: ...


class World(Protocol):
    """Each trouble is begun and, later, ended. `calm` ends whatever goes on."""

    name: str
    database: str
    broker: str

    def flush_broker(self) -> None: ...
    def cut_broker(self) -> None: ...
    def mute_broker(self) -> None: ...
    def mend_broker(self) -> None: ...
    def trouble_database(self) -> None: ...
    def lock_database(self) -> None: ...
    def mend_database(self) -> None: ...
    def close(self) -> None: ...


class Embedded:
    """SQLite and the folder broker. Trouble with the database is a lock that someone holds."""

    name = "sqlite + folder"

    def __init__(self, folder: Path) -> None:
        self._file, self._folder = folder / "home" / "proctor.db", folder / "broker"
        self.database, self.broker = f"sqlite:///{self._file}", f"filesystem://{self._folder}"
        self._lock: sqlite3.Connection | None = None

    def flush_broker(self) -> None:
        """Remove every message."""
        for path in self._folder.glob("*/*.msg"):
            with suppress(OSError):
                path.unlink()

    def cut_broker(self) -> None:
        """The folder is gone, and cannot be made: a file is in its place."""
        self.mend_broker()
        aside = self._folder.with_name("broker-aside")
        with suppress(OSError):
            self._folder.rename(aside)
            self._folder.touch(exist_ok=False)

    def mute_broker(self) -> None:
        """A folder cannot be mute: its messages vanish instead."""
        self.flush_broker()

    def mend_broker(self) -> None:
        """Put the folder back."""
        aside = self._folder.with_name("broker-aside")
        if self._folder.is_file():
            self._folder.unlink()
            aside.rename(self._folder)

    def trouble_database(self) -> None:
        """Hold the lock for writing."""
        self.mend_database()
        self._lock = sqlite3.connect(self._file, isolation_level=None, timeout=5)
        with suppress(sqlite3.OperationalError):
            self._lock.execute("BEGIN IMMEDIATE")

    def lock_database(self) -> None:
        """The same: there is no other."""
        self.trouble_database()

    def mend_database(self) -> None:
        """Let go of the lock."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def close(self) -> None:
        """End all trouble."""
        self.mend_broker()
        self.mend_database()


class Servers:
    """PostgreSQL, and Redis behind a wire. Trouble with the database is that it is stopped, or that
    someone has locked what everybody needs."""

    name = "postgresql + redis"

    def __init__(self, postgres: Server, database: str, redis_url: str) -> None:
        parts = urlsplit(redis_url)
        assert parts.hostname and parts.port
        self._postgres, self._stopped = postgres, False
        self._lock: psycopg.Connection | None = None
        self._wire = BrokerWire(parts.hostname, parts.port)
        # A database of its own: others may use the same server.
        self._redis = redis.Redis(parts.hostname, parts.port, db=1)
        self._redis.flushdb()
        self.database, self.broker = database, f"redis://127.0.0.1:{self._wire.port}/1"

    def flush_broker(self) -> None:
        """FLUSHDB."""
        self._redis.flushdb()

    def cut_broker(self) -> None:
        """The server is gone, and with it what it held."""
        self._wire.cut()
        self._redis.flushdb()

    def mute_broker(self) -> None:
        """The server accepts, and never answers."""
        self._wire.mute()

    def mend_broker(self) -> None:
        """The server is back."""
        self._wire.mend()

    def trouble_database(self) -> None:
        """Stop the server, cutting off who is connected."""
        if not self._stopped:
            self._stopped = True
            self._postgres.stop()

    def lock_database(self) -> None:
        """Lock the tables that every delivery and every step is written into, as who changes a
        table does."""
        if self._stopped or self._lock is not None:
            return
        self._lock = psycopg.connect(self.database.replace("+psycopg", ""))
        with suppress(psycopg.Error):  # it may be in the way of two others at once
            self._lock.execute("SET lock_timeout = '2s'")
            self._lock.execute("LOCK TABLE deliveries, steps IN ACCESS EXCLUSIVE MODE")

    def mend_database(self) -> None:
        """Start the server, and let go of what is locked."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None
        if self._stopped:
            self._postgres.start()
            self._stopped = False

    def close(self) -> None:
        """End all trouble."""
        self.mend_database()
        self._wire.close()
        self._redis.close()
