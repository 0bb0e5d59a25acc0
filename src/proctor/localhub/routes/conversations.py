"""Discussions and pull requests."""

from typing import Any, Literal

from starlette.responses import JSONResponse, Response

from proctor.localhub import access, commits, discussion_json, discussions, merging, refs
from proctor.localhub.call import Call, get, post
from proctor.localhub.contribution import open_pull_request
from proctor.localhub.discussions import Discussion, Happening
from proctor.localhub.events import Action, Emitter
from proctor.localhub.gitids import Entry
from proctor.localhub.people import Caller
from proctor.localhub.refusal import bad_request, conflict, forbidden
from proctor.localhub.repos import MAIN, Repo
from proctor.localhub.store import Db

_PAGE = 50


def search(call: Call) -> Response:
    kind, status = call.query("type", "all"), call.query("status", "all")
    if kind not in ("all", "discussion", "pull_request"):
        raise bad_request("type must be all, discussion or pull_request")
    if status not in ("all", "open", "closed"):
        raise bad_request("status must be all, open or closed")
    start = call.number("p", 0, 10**6) * _PAGE
    with call.reading() as db:
        repo = call.repo(db)
        found = discussions.search(
            db, repo, kind=kind, status=status, author=call.query("author") or None
        )
    shown = [discussion_json.summary(item, repo) for item in found[start : start + _PAGE]]
    return JSONResponse({"discussions": shown, "count": len(found), "start": start})


def details(call: Call) -> Response:
    with call.reading() as db:
        repo = call.repo(db)
        item = discussions.get(db, repo, _num(call))
        answer = discussion_json.summary(item, repo)
        answer["events"] = [entry.as_json() for entry in discussions.history(db, item)]
        if item.is_pr:
            fork, base, head = _three(db, repo, item)
            settled = item.status == "merged"
            answer["filesWithConflicts"] = [] if settled else merging.conflicts(fork, base, head)
            if call.query("diff"):
                answer["diff"] = merging.diff(call.parts.blobs, fork, head)
    return JSONResponse(answer)


def create(call: Call) -> Response:
    wish = call.json()
    with call.writing() as (db, emit):
        repo = call.repo(db)
        author = access.require_discuss(call.who, repo).name
        text = wish.get("description")
        if wish.get("pullRequest"):
            item = open_pull_request(
                db,
                emit,
                repo,
                author,
                title=wish.get("title"),
                description=text,
                base=MAIN,
                fork_sha=refs.resolve(db, repo, MAIN),
                head=None,
            )
        else:
            item = discussions.open_(db, repo, author, wish.get("title"), status="open")
            said = discussions.comment(db, item, author, text)
            _tell(db, emit, repo, item, "create", "discussion", said)
    answer = discussion_json.summary(item, repo)
    answer["url"] = f"{call.base}/{repo.web_path}/discussions/{item.num}"
    return JSONResponse(answer)


def comment(call: Call) -> Response:
    with call.writing() as (db, emit):
        repo = call.repo(db)
        author = access.require_discuss(call.who, repo)
        item = discussions.get(db, repo, _num(call))
        said = discussions.comment(db, item, author.name, call.json().get("comment"))
        _tell(db, emit, repo, item, "create", "discussion.comment", said)
    return JSONResponse({"newMessage": said.as_json()})


def edit(call: Call) -> Response:
    """Only the author may change what they said."""
    with call.writing() as (db, emit):
        repo = call.repo(db)
        author = access.require_discuss(call.who, repo)
        item = discussions.get(db, repo, _num(call))
        if discussions.get_comment(db, item, call["comment"]).author != author.name:
            raise forbidden("Only its author may edit a comment")
        text = call.json().get("content")
        said = discussions.edit_comment(db, item, call["comment"], author.name, text)
        _tell(db, emit, repo, item, "update", "discussion.comment", said)
    return JSONResponse({"updatedComment": said.as_json()})


def hide(call: Call) -> Response:
    """The author of the comment, or who can write to the repository."""
    with call.writing() as (db, emit):
        repo = call.repo(db)
        author = access.require_discuss(call.who, repo)
        item = discussions.get(db, repo, _num(call))
        _mine_or_writer(author, repo, discussions.get_comment(db, item, call["comment"]).author)
        said = discussions.hide_comment(db, item, call["comment"], author.name)
        _tell(db, emit, repo, item, "update", "discussion.comment", said)
    return JSONResponse({"updatedComment": said.as_json()})


def change_status(call: Call) -> Response:
    wish = call.json()
    status: Literal["open", "closed"]
    if wish.get("status") == "open":
        status = "open"
    elif wish.get("status") == "closed":
        status = "closed"
    else:
        raise bad_request("status must be open or closed")
    with call.writing() as (db, emit):
        repo = call.repo(db)
        author = access.require_discuss(call.who, repo)
        item = discussions.get(db, repo, _num(call))
        _mine_or_writer(author, repo, item.author)
        if item.status == "merged":
            raise bad_request("A merged pull request stays merged")
        _optional_comment(db, emit, repo, item, author, wish)
        discussions.set_status(db, item, status)
        body = {"status": status}
        happening = discussions.record(db, item, author.name, "status-change", body)
        _tell(db, emit, repo, item, "update", "discussion")
    return JSONResponse({"newStatus": happening.as_json()})


def change_title(call: Call) -> Response:
    title = call.json().get("title")
    with call.writing() as (db, emit):
        repo = call.repo(db)
        author = access.require_discuss(call.who, repo)
        item = discussions.get(db, repo, _num(call))
        _mine_or_writer(author, repo, item.author)
        discussions.retitle(db, item, title)
        body = {"from": item.title, "to": discussions.get(db, repo, item.num).title}
        happening = discussions.record(db, item, author.name, "title-change", body)
        _tell(db, emit, repo, item, "update", "discussion")
    return JSONResponse({"newTitle": happening.as_json()})


def merge(call: Call) -> Response:
    """One new commit on the base with what the pull request changed; 409 on conflicts."""
    with call.writing() as (db, emit):
        repo = call.repo(db)
        item = discussions.get(db, repo, _num(call))
        author = access.require_write(call.who, repo)
        if not item.is_pr or item.status != "open":
            raise bad_request("Only an open pull request can be merged")
        fork, base, head = _three(db, repo, item)
        trouble = merging.conflicts(fork, base, head)
        if trouble:
            raise conflict("The pull request has conflicts", filesWithConflicts=trouble)
        _optional_comment(db, emit, repo, item, author, call.json())
        assert item.base is not None
        commit = commits.make(
            db,
            repo,
            merging.merged(fork, base, head),
            parent=refs.resolve(db, repo, item.base),
            author=author.name,
            title=f"{item.title} (#{item.num})",
        )
        change = commits.advance(db, repo, item.base, commit)
        discussions.set_status(db, item, "merged", commit.sha)
        body = {"status": "merged"}
        discussions.record(db, item, author.name, "status-change", body)
        # The pull request's own ref stays where it was; the docs do not say what the Hub does.
        emit.content(repo, [change])
        _tell(db, emit, repo, item, "update", "discussion")
    return JSONResponse({"mergeCommitId": commit.sha, "commit": {"oid": commit.sha}})


def _num(call: Call) -> int:
    text = call["num"]
    if not (text.isascii() and text.isdigit()) or len(text) > 9:
        raise bad_request("A discussion's number is a number")
    return int(text)


def _three(
    db: Db, repo: Repo, item: Discussion
) -> tuple[dict[str, Entry], dict[str, Entry], dict[str, Entry]]:
    """The files where the pull request left its base, of the base now, and of the request."""
    assert item.base is not None and item.fork_sha is not None
    # A base branch that was deleted meanwhile counts as unchanged.
    base = refs.head(db, repo, item.base) or item.fork_sha
    head = refs.resolve(db, repo, item.ref)
    fork_files = commits.files(db, repo, item.fork_sha)
    return fork_files, commits.files(db, repo, base), commits.files(db, repo, head)


def _mine_or_writer(who: Caller, repo: Repo, author: str) -> None:
    if who.name != author and not access.can_write(who, repo):
        raise forbidden("Only the author, or who can write to the repository, may do this")


def _optional_comment(
    db: Db, emit: Emitter, repo: Repo, item: Discussion, author: Caller, wish: dict[str, Any]
) -> None:
    if wish.get("comment"):
        said = discussions.comment(db, item, author.name, wish["comment"])
        _tell(db, emit, repo, item, "create", "discussion.comment", said)


def _tell(
    db: Db,
    emit: Emitter,
    repo: Repo,
    item: Discussion,
    action: Action,
    scope: Literal["discussion", "discussion.comment"],
    said: Happening | None = None,
) -> None:
    fresh = discussions.get(db, repo, item.num)
    shown = discussion_json.for_webhook(db, fresh, repo, emit.base)
    spoken = discussion_json.comment_for_webhook(db, said, fresh, repo, emit.base) if said else None
    emit.discussion(repo, action, scope, shown, spoken)


_ONE = "/api/{types}/{id}/discussions/{num}"
ROUTES = [
    get("/api/{types}/{id}/discussions", search),
    post("/api/{types}/{id}/discussions", create),
    get(_ONE, details),
    post(f"{_ONE}/comment", comment),
    post(f"{_ONE}/comment/{{comment}}/edit", edit),
    post(f"{_ONE}/comment/{{comment}}/hide", hide),
    post(f"{_ONE}/status", change_status),
    post(f"{_ONE}/title", change_title),
    post(f"{_ONE}/merge", merge),
]
