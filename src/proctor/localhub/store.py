"""The Local Hub's metadata: one SQLite file, one connection, one lock.

A small hub has little traffic, so transactions simply take turns. WAL with ``synchronous=FULL``
means that an answered request survives both ``kill -9`` and a power cut.
"""

import secrets
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

Db = sqlite3.Connection

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS owners (
  name TEXT PRIMARY KEY COLLATE NOCASE, id TEXT NOT NULL UNIQUE,
  kind TEXT NOT NULL CHECK (kind IN ('user', 'org')));
CREATE TABLE IF NOT EXISTS members (
  org TEXT NOT NULL COLLATE NOCASE, user TEXT NOT NULL COLLATE NOCASE, role TEXT NOT NULL,
  PRIMARY KEY (org, user));
CREATE TABLE IF NOT EXISTS tokens (
  digest TEXT PRIMARY KEY, user TEXT NOT NULL COLLATE NOCASE, name TEXT NOT NULL,
  role TEXT NOT NULL, scopes TEXT NOT NULL, created_at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS repos (
  id TEXT PRIMARY KEY, type TEXT NOT NULL, name TEXT NOT NULL COLLATE NOCASE,
  private INTEGER NOT NULL, gated TEXT NOT NULL, sdk TEXT,
  created_at REAL NOT NULL, modified_at REAL NOT NULL, UNIQUE (type, name));
CREATE TABLE IF NOT EXISTS old_names (
  type TEXT NOT NULL, name TEXT NOT NULL COLLATE NOCASE, repo TEXT NOT NULL,
  PRIMARY KEY (type, name));
CREATE TABLE IF NOT EXISTS refs (
  repo TEXT NOT NULL, ref TEXT NOT NULL, sha TEXT NOT NULL, message TEXT,
  PRIMARY KEY (repo, ref));
CREATE TABLE IF NOT EXISTS commits (
  repo TEXT NOT NULL, sha TEXT NOT NULL, parent TEXT, tree TEXT NOT NULL,
  title TEXT NOT NULL, message TEXT NOT NULL, author TEXT NOT NULL, at REAL NOT NULL,
  PRIMARY KEY (repo, sha));
CREATE TABLE IF NOT EXISTS trees (id TEXT PRIMARY KEY, entries TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS blobs (
  sha256 TEXT PRIMARY KEY, size INTEGER NOT NULL, git_oid TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS repo_blobs (
  repo TEXT NOT NULL, sha256 TEXT NOT NULL, PRIMARY KEY (repo, sha256));
CREATE TABLE IF NOT EXISTS discussions (
  repo TEXT NOT NULL, num INTEGER NOT NULL, id TEXT NOT NULL UNIQUE, title TEXT NOT NULL,
  status TEXT NOT NULL, is_pr INTEGER NOT NULL, author TEXT NOT NULL, created_at REAL NOT NULL,
  base TEXT, fork_sha TEXT, merge_sha TEXT, PRIMARY KEY (repo, num));
CREATE TABLE IF NOT EXISTS happenings (
  id TEXT PRIMARY KEY, repo TEXT NOT NULL, num INTEGER NOT NULL, seq INTEGER NOT NULL,
  type TEXT NOT NULL, author TEXT NOT NULL, at REAL NOT NULL, body TEXT NOT NULL,
  UNIQUE (repo, num, seq));
CREATE TABLE IF NOT EXISTS webhooks (
  id TEXT PRIMARY KEY, user TEXT NOT NULL COLLATE NOCASE, url TEXT NOT NULL, secret TEXT,
  watched TEXT NOT NULL, domains TEXT NOT NULL, disabled INTEGER NOT NULL DEFAULT 0,
  suspended INTEGER NOT NULL DEFAULT 0, failures INTEGER NOT NULL DEFAULT 0,
  created_at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS deliveries (
  id TEXT PRIMARY KEY, webhook TEXT NOT NULL, scope TEXT NOT NULL, action TEXT NOT NULL,
  body TEXT NOT NULL, status TEXT NOT NULL, tries INTEGER NOT NULL DEFAULT 0,
  due_at REAL NOT NULL, created_at REAL NOT NULL);
CREATE INDEX IF NOT EXISTS deliveries_due ON deliveries (status, due_at);
CREATE INDEX IF NOT EXISTS deliveries_webhook ON deliveries (webhook, created_at);
CREATE TABLE IF NOT EXISTS tries (
  delivery TEXT NOT NULL, at REAL NOT NULL, answer INTEGER, error TEXT, replay INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS tries_delivery ON tries (delivery, at);
"""


class FolderInUse(RuntimeError):
    """Another process serves this state folder: stop it, or choose another folder."""


class Store:
    """Opens (and makes, if needed) the metadata of the state folder ``root``.

    Raises :class:`FolderInUse` when another process has it open: two senders of webhooks over one
    folder would deliver everything twice.
    """

    def __init__(self, root: Path) -> None:
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder_lock = _lock(root / "lock")
        self._lock = threading.RLock()
        self._db = sqlite3.connect(
            root / "hub.sqlite3", check_same_thread=False, isolation_level=None
        )
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.executescript(_SCHEMA)

    @contextmanager
    def transaction(self) -> Iterator[Db]:
        """All or nothing: commits at the end of the block, rolls back if it raises."""
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    @contextmanager
    def reading(self) -> Iterator[Db]:
        """One consistent look: nobody writes meanwhile."""
        with self._lock:
            yield self._db

    def secret(self, name: str) -> str:
        """A random value made once for this folder, the same after a restart."""
        with self.transaction() as db:
            db.execute(
                "INSERT OR IGNORE INTO meta (key, value) VALUES (?, ?)",
                (f"secret:{name}", secrets.token_urlsafe(32)),
            )
            row = db.execute("SELECT value FROM meta WHERE key = ?", (f"secret:{name}",)).fetchone()
            return str(row["value"])

    def close(self) -> None:
        with self._lock:
            self._db.close()
            self._folder_lock.close()


def _lock(path: Path) -> IO[bytes]:
    held = path.open("ab")
    try:
        import fcntl
    except ImportError:  # Windows: two servers on one folder go unnoticed there
        return held
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        held.close()
        raise FolderInUse(f"another Local Hub is serving {path.parent}") from None
    return held
