"""Repositories: rows, names old and new, settings."""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

from proctor.localhub.moment import fresh_id, now
from proctor.localhub.names import RepoType
from proctor.localhub.refusal import conflict
from proctor.localhub.store import Db

MAIN = "refs/heads/main"


@dataclass(frozen=True)
class Repo:
    """A repository. ``id`` is stable; ``name`` (``namespace/name``) may move.

    ``gated`` is ``""``, ``"auto"`` or ``"manual"``. Times are seconds since the epoch.
    """

    id: str
    type: RepoType
    name: str
    private: bool
    gated: str
    sdk: str | None
    created_at: float
    modified_at: float

    @property
    def namespace(self) -> str:
        return self.name.split("/")[0]

    @property
    def web_path(self) -> str:
        """The path of its page: models have no prefix."""
        return self.name if self.type == "model" else f"{self.type}s/{self.name}"


def _repo(row: sqlite3.Row) -> Repo:
    return Repo(
        row["id"],
        row["type"],
        row["name"],
        bool(row["private"]),
        row["gated"],
        row["sdk"],
        row["created_at"],
        row["modified_at"],
    )


def add(db: Db, kind: RepoType, name: str, *, private: bool, sdk: str | None) -> Repo:
    """Make an empty repository; 409 when the name is taken."""
    if find(db, kind, name) is not None:
        raise conflict(f"You already created this {kind} repo")
    at = now()
    repo = Repo(fresh_id(), kind, name, private, "", sdk, at, at)
    db.execute(
        "INSERT INTO repos (id, type, name, private, gated, sdk, created_at, modified_at)"
        " VALUES (?, ?, ?, ?, '', ?, ?, ?)",
        (repo.id, kind, name, private, sdk, at, at),
    )
    # Whoever takes an old name gets it: the redirect to the moved repository ends.
    db.execute("DELETE FROM old_names WHERE type = ? AND name = ?", (kind, name))
    return repo


def find(db: Db, kind: RepoType, name: str) -> Repo | None:
    row = db.execute("SELECT * FROM repos WHERE type = ? AND name = ?", (kind, name)).fetchone()
    return _repo(row) if row else None


def by_id(db: Db, repo_id: str) -> Repo | None:
    row = db.execute("SELECT * FROM repos WHERE id = ?", (repo_id,)).fetchone()
    return _repo(row) if row else None


def moved_from(db: Db, kind: RepoType, name: str) -> Repo | None:
    """The repository that once had this name, if it still exists."""
    row = db.execute(
        "SELECT repos.* FROM old_names JOIN repos ON repos.id = old_names.repo"
        " WHERE old_names.type = ? AND old_names.name = ?",
        (kind, name),
    ).fetchone()
    return _repo(row) if row else None


def every(db: Db, kind: RepoType) -> Iterator[Repo]:
    """All repositories of a type, the newest first."""
    for row in db.execute(
        "SELECT * FROM repos WHERE type = ? ORDER BY created_at DESC, id", (kind,)
    ).fetchall():
        yield _repo(row)


def touch(db: Db, repo: Repo) -> None:
    """Note that the content changed now: ``lastModified``."""
    db.execute("UPDATE repos SET modified_at = ? WHERE id = ?", (now(), repo.id))


def configure(db: Db, repo: Repo, *, private: bool, gated: str) -> None:
    db.execute("UPDATE repos SET private = ?, gated = ? WHERE id = ?", (private, gated, repo.id))


def rename(db: Db, repo: Repo, name: str) -> Repo:
    """Give the repository another name and keep the old one as a redirect; 409 when taken."""
    other = find(db, repo.type, name)
    if other is not None and other.id != repo.id:
        raise conflict(f"A {repo.type} repo {name} already exists")
    db.execute("UPDATE repos SET name = ? WHERE id = ?", (name, repo.id))
    db.execute("DELETE FROM old_names WHERE type = ? AND name = ?", (repo.type, name))
    if name.lower() != repo.name.lower():
        db.execute(
            "INSERT OR REPLACE INTO old_names (type, name, repo) VALUES (?, ?, ?)",
            (repo.type, repo.name, repo.id),
        )
    moved = by_id(db, repo.id)
    assert moved is not None
    return moved


def remove(db: Db, repo: Repo) -> None:
    """Forget the repository and all that hangs on it, but not its deliveries."""
    db.execute("DELETE FROM repos WHERE id = ?", (repo.id,))
    for statement in (
        "DELETE FROM refs WHERE repo = ?",
        "DELETE FROM commits WHERE repo = ?",
        "DELETE FROM repo_blobs WHERE repo = ?",
        "DELETE FROM discussions WHERE repo = ?",
        "DELETE FROM happenings WHERE repo = ?",
        "DELETE FROM old_names WHERE repo = ?",
    ):
        db.execute(statement, (repo.id,))
