"""Putting a commit on a branch or a pull request, or opening a pull request with it."""

from collections.abc import Sequence
from dataclasses import dataclass

from proctor.localhub import access, commits, discussion_json, discussions, payload, refs
from proctor.localhub.discussions import Discussion
from proctor.localhub.events import Emitter
from proctor.localhub.payload import Header, Operation
from proctor.localhub.people import Caller
from proctor.localhub.refs import RefChange
from proctor.localhub.refusal import Refusal, bad_request, forbidden
from proctor.localhub.repos import Repo
from proctor.localhub.store import Db


@dataclass(frozen=True)
class Contribution:
    """The new commit, and the number of the pull request that it opened, if it did."""

    sha: str
    pull_request: int | None


def contribute(
    db: Db,
    emit: Emitter,
    repo: Repo,
    who: Caller | None,
    *,
    rev: str,
    header: Header,
    operations: Sequence[Operation],
    as_pull_request: bool,
) -> Contribution:
    """Commit and tell. 412 when ``header.parent`` is given and is not the head of the ref."""
    ref = refs.writable_ref(db, repo, rev)
    author = _author(db, repo, who, ref, as_pull_request=as_pull_request)
    head = refs.resolve(db, repo, ref)
    if header.parent not in (None, head) and not as_pull_request:
        raise Refusal(412, "A commit has happened since. Please refresh and try again.")
    # A pull request may start from an older commit: the client's docs on ``parent_commit``.
    start = refs.resolve(db, repo, header.parent) if header.parent else head
    tree = payload.apply(db, repo.id, commits.files(db, repo, start), operations)
    commit = commits.make(
        db,
        repo,
        tree,
        parent=start,
        author=author.name,
        title=header.title,
        message=header.message,
    )
    if as_pull_request:
        if not ref.startswith("refs/heads/"):
            raise bad_request("A pull request starts from a branch")
        opened = open_pull_request(
            db,
            emit,
            repo,
            author.name,
            title=header.title if len(header.title) > 2 else f"PR: {header.title}",
            description=header.message or header.title,
            base=ref,
            fork_sha=start,
            head=commit,
        )
        return Contribution(commit.sha, opened.num)
    change = commits.advance(db, repo, ref, commit)
    if ref.startswith("refs/pr/"):
        item = discussions.get(db, repo, int(ref.removeprefix("refs/pr/")))
        _record_commit(db, item, commit)
    emit.content(repo, [change])
    return Contribution(commit.sha, None)


def open_pull_request(
    db: Db,
    emit: Emitter,
    repo: Repo,
    author: str,
    *,
    title: object,
    description: object,
    base: str,
    fork_sha: str,
    head: commits.Commit | None,
) -> Discussion:
    """Open one: with a commit it is open, without one a draft. Two events: content, discussion."""
    item = discussions.open_(
        db,
        repo,
        author,
        title,
        status="open" if head else "draft",
        base=base,
        fork_sha=fork_sha,
    )
    said = discussions.comment(db, item, author, description)
    if head is not None:
        _record_commit(db, item, head)
    refs.point(db, repo, item.ref, head.sha if head else fork_sha)
    emit.content(repo, [RefChange(item.ref, None, head.sha if head else fork_sha)])
    emit.discussion(
        repo,
        "create",
        "discussion",
        discussion_json.for_webhook(db, item, repo, emit.base),
        discussion_json.comment_for_webhook(db, said, item, repo, emit.base),
    )
    return item


def _record_commit(db: Db, item: Discussion, commit: commits.Commit) -> None:
    body = {"subject": commit.title, "oid": commit.sha}
    discussions.record(db, item, commit.author, "commit", body)


def _author(db: Db, repo: Repo, who: Caller | None, ref: str, *, as_pull_request: bool) -> Caller:
    if as_pull_request:
        return access.require_discuss(who, repo)
    if ref.startswith("refs/pr/"):
        item = discussions.get(db, repo, int(ref.removeprefix("refs/pr/")))
        if item.status not in ("open", "draft"):
            raise forbidden(f"Pull request {item.num} is {item.status}")
        caller = access.require_discuss(who, repo)
        if item.author == caller.name:
            return caller
    return access.require_write(who, repo)
