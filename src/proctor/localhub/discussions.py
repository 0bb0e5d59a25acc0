"""Discussions and pull requests, and what happens in them: comments and changes.

The shape of a happening is what ``huggingface_hub.community.deserialize_event`` reads.
"""

import html
import json
import sqlite3
from dataclasses import dataclass
from typing import Any, Literal

from proctor.localhub.moment import fresh_id, iso, now
from proctor.localhub.refusal import Refusal, bad_request
from proctor.localhub.repos import Repo
from proctor.localhub.store import Db

Status = Literal["open", "closed", "draft", "merged"]
MAX_TEXT = 65_536
MAX_TITLE = 500


@dataclass(frozen=True)
class Discussion:
    """A discussion, or a pull request if ``base`` (the ref to merge into) is set.

    ``fork_sha`` is where the pull request left its base.
    """

    repo: str
    num: int
    id: str
    title: str
    status: Status
    author: str
    created_at: float
    base: str | None
    fork_sha: str | None
    merge_sha: str | None

    @property
    def is_pr(self) -> bool:
        return self.base is not None

    @property
    def ref(self) -> str:
        """The git ref of a pull request."""
        return f"refs/pr/{self.num}"


@dataclass(frozen=True)
class Happening:
    """One event in a discussion: ``comment``, ``status-change``, ``title-change``, ``commit``."""

    id: str
    type: str
    author: str
    at: float
    body: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "type": self.type,
            "createdAt": iso(self.at),
            "author": {"name": self.author},
            "data": self.body,
        }


def _discussion(row: sqlite3.Row) -> Discussion:
    return Discussion(
        row["repo"],
        row["num"],
        row["id"],
        row["title"],
        row["status"],
        row["author"],
        row["created_at"],
        row["base"],
        row["fork_sha"],
        row["merge_sha"],
    )


def _happening(row: sqlite3.Row) -> Happening:
    return Happening(row["id"], row["type"], row["author"], row["at"], json.loads(row["body"]))


def open_(
    db: Db,
    repo: Repo,
    author: str,
    title: object,
    *,
    status: Status,
    base: str | None = None,
    fork_sha: str | None = None,
) -> Discussion:
    """Start a discussion, or with a ``base`` a pull request. Numbers are shared by both."""
    num = db.execute(
        "SELECT COALESCE(MAX(num), 0) + 1 FROM discussions WHERE repo = ?", (repo.id,)
    ).fetchone()[0]
    db.execute(
        "INSERT INTO discussions"
        " (repo, num, id, title, status, is_pr, author, created_at, base, fork_sha)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            repo.id,
            num,
            fresh_id(),
            title_of(title),
            status,
            bool(base),
            author,
            now(),
            base,
            fork_sha,
        ),
    )
    return get(db, repo, num)


def get(db: Db, repo: Repo, num: int) -> Discussion:
    """The discussion, or 404."""
    row = db.execute(
        "SELECT * FROM discussions WHERE repo = ? AND num = ?", (repo.id, num)
    ).fetchone()
    if row is None:
        raise Refusal(404, f"Discussion {num} not found")
    return _discussion(row)


def search(db: Db, repo: Repo, *, kind: str, status: str, author: str | None) -> list[Discussion]:
    """The newest first. ``kind``: all, discussion, pull_request; ``status``: all, open, closed
    (a draft counts as open, a merged pull request as closed)."""
    rows = db.execute(
        "SELECT * FROM discussions WHERE repo = ? ORDER BY num DESC", (repo.id,)
    ).fetchall()
    found = [_discussion(row) for row in rows]
    if kind != "all":
        found = [item for item in found if item.is_pr == (kind == "pull_request")]
    if status != "all":
        wanted = ("open", "draft") if status == "open" else ("closed", "merged")
        found = [item for item in found if item.status in wanted]
    if author is not None:
        found = [item for item in found if item.author.lower() == author.lower()]
    return found


def retitle(db: Db, item: Discussion, title: object) -> None:
    db.execute(
        "UPDATE discussions SET title = ? WHERE repo = ? AND num = ?",
        (title_of(title), item.repo, item.num),
    )


def set_status(db: Db, item: Discussion, status: Status, merge_sha: str | None = None) -> None:
    db.execute(
        "UPDATE discussions SET status = ?, merge_sha = COALESCE(?, merge_sha)"
        " WHERE repo = ? AND num = ?",
        (status, merge_sha, item.repo, item.num),
    )


def record(db: Db, item: Discussion, author: str, kind: str, body: dict[str, Any]) -> Happening:
    """Append to the discussion's history."""
    happening = Happening(fresh_id(), kind, author, now(), body)
    db.execute(
        "INSERT INTO happenings (id, repo, num, seq, type, author, at, body) VALUES (?, ?, ?,"
        " (SELECT COALESCE(MAX(seq), 0) + 1 FROM happenings WHERE repo = ? AND num = ?),"
        " ?, ?, ?, ?)",
        (
            happening.id,
            item.repo,
            item.num,
            item.repo,
            item.num,
            kind,
            author,
            happening.at,
            json.dumps(body),
        ),
    )
    return happening


def comment(db: Db, item: Discussion, author: str, text: object) -> Happening:
    body = {"edited": False, "hidden": False, "numEdits": 0, "history": []}
    return record(db, item, author, "comment", body | {"latest": _latest(text_of(text), author)})


def edit_comment(db: Db, item: Discussion, comment_id: str, author: str, text: object) -> Happening:
    """Replace a comment's text and keep the old one in its history; 400 once it is hidden."""
    old = get_comment(db, item, comment_id)
    if old.body["hidden"]:
        raise bad_request("A hidden comment cannot be edited")
    body = old.body | {
        "edited": True,
        "numEdits": old.body["numEdits"] + 1,
        "history": [*old.body["history"], old.body["latest"]],
        "latest": _latest(text_of(text), author),
    }
    return _rewrite(db, old, body)


def hide_comment(db: Db, item: Discussion, comment_id: str, author: str) -> Happening:
    """Take a comment's text away for good, from the disk too."""
    old = get_comment(db, item, comment_id)
    body = old.body | {"hidden": True, "history": [], "latest": _latest("", author)}
    return _rewrite(db, old, body)


def get_comment(db: Db, item: Discussion, comment_id: str) -> Happening:
    """The comment, or 404."""
    row = db.execute(
        "SELECT * FROM happenings WHERE id = ? AND repo = ? AND num = ? AND type = 'comment'",
        (comment_id, item.repo, item.num),
    ).fetchone()
    if row is None:
        raise Refusal(404, "Comment not found")
    return _happening(row)


def history(db: Db, item: Discussion) -> list[Happening]:
    """All that happened, oldest first."""
    rows = db.execute(
        "SELECT * FROM happenings WHERE repo = ? AND num = ? ORDER BY seq", (item.repo, item.num)
    ).fetchall()
    return [_happening(row) for row in rows]


def _rewrite(db: Db, old: Happening, body: dict[str, Any]) -> Happening:
    db.execute("UPDATE happenings SET body = ? WHERE id = ?", (json.dumps(body), old.id))
    return Happening(old.id, old.type, old.author, old.at, body)


def _latest(raw: str, author: str) -> dict[str, Any]:
    # The Hub renders Markdown here; text shown as it was written is enough, and safe.
    shown = f"<p>{html.escape(raw)}</p>"
    return {"raw": raw, "html": shown, "updatedAt": iso(now()), "author": {"name": author}}


def text_of(text: object) -> str:
    """A comment's text, or 400."""
    if not isinstance(text, str) or not text.strip() or len(text) > MAX_TEXT:
        raise bad_request(f"A comment is a text of 1 to {MAX_TEXT} characters")
    return text


def title_of(title: object) -> str:
    """A discussion's title, or 400. The Hub asks for at least 3 characters."""
    if not isinstance(title, str) or not 3 <= len(title.strip()) <= MAX_TITLE:
        raise bad_request(f"A title is a text of 3 to {MAX_TITLE} characters")
    return title.strip()
