"""Commits: their rows, their log, and making one on top of a ref."""

import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from proctor.localhub import refs, repos, trees
from proctor.localhub.gitids import Entry, commit_id
from proctor.localhub.moment import iso, now
from proctor.localhub.refs import RefChange
from proctor.localhub.repos import Repo
from proctor.localhub.store import Db


@dataclass(frozen=True)
class Commit:
    """One commit. ``at`` is in seconds since the epoch; ``message`` is what follows the title."""

    sha: str
    parent: str | None
    tree: str
    title: str
    message: str
    author: str
    at: float


def _commit(row: sqlite3.Row) -> Commit:
    return Commit(
        row["sha"],
        row["parent"],
        row["tree"],
        row["title"],
        row["message"],
        row["author"],
        row["at"],
    )


def get(db: Db, repo: Repo, sha: str) -> Commit:
    """A commit that is known to exist."""
    row = db.execute("SELECT * FROM commits WHERE repo = ? AND sha = ?", (repo.id, sha)).fetchone()
    return _commit(row)


def files(db: Db, repo: Repo, sha: str) -> dict[str, Entry]:
    """The files of a commit that is known to exist, by path."""
    return trees.load(db, get(db, repo, sha).tree)


def log(db: Db, repo: Repo, sha: str) -> Iterator[Commit]:
    """The commit and its ancestors, newest first."""
    next_sha: str | None = sha
    while next_sha is not None:
        commit = get(db, repo, next_sha)
        yield commit
        next_sha = commit.parent


def make(
    db: Db,
    repo: Repo,
    tree: Mapping[str, Entry],
    *,
    parent: str | None,
    author: str,
    title: str,
    message: str = "",
) -> Commit:
    """Write a commit that no ref names yet.

    The id follows from content, parent, time, author and message. A commit that changes nothing
    is still a new commit: so a client that repeats a commit after a lost answer makes two, as on
    the Hub.
    """
    tree_id = trees.save(db, tree)
    at = round(now(), 3)
    text = f"{title}\n\n{message}" if message else title
    commit = Commit(
        commit_id(tree_id, parent, author, at, text), parent, tree_id, title, message, author, at
    )
    db.execute(
        "INSERT OR IGNORE INTO commits (repo, sha, parent, tree, title, message, author, at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (repo.id, commit.sha, parent, tree_id, title, message, author, at),
    )
    return commit


def advance(db: Db, repo: Repo, ref: str, commit: Commit) -> RefChange:
    """Point ``ref`` at the commit and note that the repository changed."""
    repos.touch(db, repo)
    return refs.point(db, repo, ref, commit.sha)


def as_json(commit: Commit, *, formatted: bool) -> dict[str, Any]:
    """One item of the commit list, as ``HfApi.list_repo_commits`` reads it."""
    answer: dict[str, Any] = {
        "id": commit.sha,
        "title": commit.title,
        "message": commit.message,
        "date": iso(commit.at),
        "authors": [{"user": commit.author, "avatar": ""}],
        "parents": [commit.parent] if commit.parent else [],
    }
    if formatted:
        answer["formatted"] = {"title": commit.title, "message": commit.message}
    return answer
