"""Branches, tags and pull-request refs: names for commits."""

from collections.abc import Sequence
from dataclasses import dataclass

from proctor.localhub.names import is_sha, ref_name, revision
from proctor.localhub.refusal import conflict, forbidden, revision_not_found
from proctor.localhub.repos import MAIN, Repo
from proctor.localhub.store import Db


@dataclass(frozen=True)
class RefChange:
    """A ref before and after; None where there was or is nothing."""

    ref: str
    old: str | None
    new: str | None


def head(db: Db, repo: Repo, ref: str = MAIN) -> str | None:
    """The commit a full ref points to."""
    row = db.execute("SELECT sha FROM refs WHERE repo = ? AND ref = ?", (repo.id, ref)).fetchone()
    return str(row["sha"]) if row else None


def everything(db: Db, repo: Repo) -> list[tuple[str, str, str | None]]:
    """All (ref, sha, tag message) of a repository, by name."""
    rows = db.execute(
        "SELECT ref, sha, message FROM refs WHERE repo = ? ORDER BY ref", (repo.id,)
    ).fetchall()
    return [(row["ref"], row["sha"], row["message"]) for row in rows]


def resolve(db: Db, repo: Repo, rev: str) -> str:
    """The full sha that ``rev`` names, or RevisionNotFound.

    A full sha, a full ref, a tag or a branch, in git's order (``gitrevisions(7)``). Whether the
    live Hub prefers a tag over a branch of the same name is not documented. Shortened shas are
    not accepted here.
    """
    revision(rev)
    if is_sha(rev):
        row = db.execute(
            "SELECT 1 FROM commits WHERE repo = ? AND sha = ?", (repo.id, rev)
        ).fetchone()
        if row is None:
            raise revision_not_found(rev)
        return rev
    for ref in (rev, f"refs/tags/{rev}", f"refs/heads/{rev}"):
        found = head(db, repo, ref)
        if found is not None:
            return found
    raise revision_not_found(rev)


def writable_ref(db: Db, repo: Repo, rev: str) -> str:
    """The full ref that a commit to ``rev`` moves: a branch or a pull request, never a tag."""
    revision(rev)
    candidates = [rev] if rev.startswith("refs/") else [f"refs/heads/{rev}"]
    for ref in candidates:
        if ref.startswith(("refs/heads/", "refs/pr/")) and head(db, repo, ref) is not None:
            return ref
    raise revision_not_found(rev)


def point(db: Db, repo: Repo, ref: str, sha: str, message: str | None = None) -> RefChange:
    """Make ``ref`` name ``sha``, whatever it named before."""
    change = RefChange(ref, head(db, repo, ref), sha)
    db.execute(
        "INSERT OR REPLACE INTO refs (repo, ref, sha, message) VALUES (?, ?, ?, ?)",
        (repo.id, ref, sha, message),
    )
    return change


def create(
    db: Db, repo: Repo, kind: str, name: str, sha: str, message: str | None = None
) -> RefChange:
    """Make a branch (``kind`` heads) or a tag (``kind`` tags); 409 when there is one."""
    ref = f"refs/{kind}/{ref_name(name)}"
    if head(db, repo, ref) is not None:
        raise conflict(f"Reference already exists: {ref}")
    _no_folder_clash(db, repo, ref)
    return point(db, repo, ref, sha, message)


def delete(db: Db, repo: Repo, kind: str, name: str) -> RefChange:
    """Remove a branch or a tag; RevisionNotFound when there is none, 403 for main."""
    ref = f"refs/{kind}/{revision(name)}"
    old = head(db, repo, ref)
    if old is None:
        raise revision_not_found(name)
    if ref == MAIN:
        raise forbidden("The main branch cannot be deleted")
    db.execute("DELETE FROM refs WHERE repo = ? AND ref = ?", (repo.id, ref))
    return RefChange(ref, old, None)


def _no_folder_clash(db: Db, repo: Repo, ref: str) -> None:
    """Git keeps refs as paths: ``a`` and ``a/b`` cannot both exist."""
    for other, _, _ in everything(db, repo):
        if other.startswith(f"{ref}/") or ref.startswith(f"{other}/"):
            raise conflict(f"Reference {ref} clashes with {other}")


def as_json(changes: Sequence[RefChange]) -> list[dict[str, str | None]]:
    """``updatedRefs`` of a webhook's body."""
    return [{"ref": c.ref, "oldSha": c.old, "newSha": c.new} for c in changes]
