"""Making, finding, configuring, moving and deleting repositories."""

from collections.abc import Mapping
from typing import Any

from starlette.responses import JSONResponse, Response

from proctor.localhub import access, blobs, commits, names, people, refs, repos, view
from proctor.localhub.call import Call, delete, get, post, put, type_of
from proctor.localhub.gitids import Entry, git_object
from proctor.localhub.people import Caller
from proctor.localhub.refusal import Refusal, bad_request, conflict, forbidden, repo_not_found
from proctor.localhub.repos import MAIN
from proctor.localhub.storage import GITATTRIBUTES
from proctor.localhub.store import Db

PAGE = 1_000
_SDKS = ("gradio", "streamlit", "docker", "static")


def create(call: Call) -> Response:
    who = access.require_caller(call.who)
    wish = call.json()
    kind = type_of(wish.get("type") or "model")
    name = _name_in(wish, who)
    sdk = wish.get("sdk")
    if kind == "space" and sdk not in _SDKS:
        raise bad_request(f"sdk must be one of {', '.join(_SDKS)}")
    attributes = call.parts.blobs.put(GITATTRIBUTES)
    with call.writing() as (db, emit):
        _require_namespace(db, who, name)
        taken = repos.find(db, kind, name)
        if taken is not None:
            url = f"{call.base}/{taken.web_path}"
            raise conflict(f"You already created this {kind} repo: {name}", url=url)
        repo = repos.add(
            db, kind, name, private=_private(wish, False), sdk=sdk if kind == "space" else None
        )
        # The Hub's first commit holds .gitattributes, so main always exists.
        blobs.link(db, repo.id, attributes)
        path = ".gitattributes"
        oid = git_object("blob", GITATTRIBUTES)
        first = commits.make(
            db,
            repo,
            {path: Entry(path, attributes.size, oid, attributes.sha256, lfs=False)},
            parent=None,
            author=who.name,
            title="initial commit",
        )
        commits.advance(db, repo, MAIN, first)
        emit.repo(repo, "create")
    url = f"{call.base}/{repo.web_path}"
    return JSONResponse({"url": url, "name": repo.name, "id": repo.id})


def remove(call: Call) -> Response:
    who = access.require_caller(call.who)
    wish = call.json()
    kind = type_of(wish.get("type") or "model")
    name = _name_in(wish, who)
    with call.writing() as (db, emit):
        repo = repos.find(db, kind, name)
        if repo is None:
            raise repo_not_found(anonymous=False)
        access.require_write(who, repo)
        emit.repo(repo, "delete")
        repos.remove(db, repo)
    return JSONResponse({})


def move(call: Call) -> Response:
    who = access.require_caller(call.who)
    wish = call.json()
    kind = type_of(wish.get("type") or "model")
    old, new = names.repo_id(str(wish.get("fromRepo"))), names.repo_id(str(wish.get("toRepo")))
    with call.writing() as (db, emit):
        repo = repos.find(db, kind, old)
        if repo is None:
            raise repo_not_found(anonymous=False)
        access.require_write(who, repo)
        _require_namespace(db, who, new)
        moved = repos.rename(db, repo, new)
        emit.moved(repo, moved)
    return JSONResponse({"url": f"{call.base}/{moved.web_path}"})


def settings(call: Call) -> Response:
    wish = call.json()
    with call.writing() as (db, emit):
        repo = call.repo(db)
        access.require_write(call.who, repo)
        private = _private(wish, repo.private)
        gated = wish.get("gated", repo.gated or False)
        if gated not in (False, "auto", "manual"):
            raise bad_request("gated must be auto, manual or false")
        updated: dict[str, Any] = {}
        if private != repo.private:
            updated["private"] = private
        if (gated or "") != repo.gated:
            updated["gated"] = gated
        repos.configure(db, repo, private=private, gated=gated or "")
        if updated:
            changed = repos.by_id(db, repo.id)
            assert changed is not None
            emit.config(changed, updated)
    return JSONResponse({"private": private, "gated": gated})


def info(call: Call) -> Response:
    expand = view.chosen(call.queries("expand"))
    with call.reading() as db:
        repo = call.repo(db)
        sha = refs.resolve(db, repo, call["rev"] or "main")
        seen = view.View(db, call.parts.blobs, repo, sha)
        if expand:
            return JSONResponse(view.show(seen, expand))
        return JSONResponse(
            view.whole(seen, blobs=call.flag("blobs"), security=call.flag("securityStatus"))
        )


def search(call: Call) -> Response:
    """The list of repositories of a type. Filters that need what is not kept here (likes,
    downloads, trends) are accepted and change nothing."""
    expand = view.chosen(call.queries("expand"))
    limit = call.number("limit", PAGE, PAGE) or PAGE
    with call.reading() as db:
        found = [
            seen
            for repo in repos.every(db, call.kind)
            if access.can_read(call.who, repo)
            and _matches(call, seen := view.View(db, call.parts.blobs, repo))
        ]
        if call.query("sort") == "lastModified":
            found.sort(key=lambda seen: seen.repo.modified_at, reverse=True)
        if call.query("direction") == "1":
            found.reverse()
        chosen, headers = call.page(found, limit)
        full, with_card = call.flag("full"), call.flag("cardData")
        answers = []
        for seen in chosen:
            answer = view.show(seen, expand) if expand else view.brief(seen, full=full)
            if not expand and (with_card or call.flag("config")):
                answer |= view.show(seen, ["cardData", "config"])
            answers.append(answer)
    return JSONResponse(answers, headers=headers)


def auth_check(call: Call) -> Response:
    with call.reading() as db:
        repo = call.repo(db)
        access.require_files(call.who, repo)
        if call["write"]:
            access.require_write(call.who, repo)
    return JSONResponse({})


def _matches(call: Call, seen: view.View) -> bool:
    repo = seen.repo
    author, text = call.query("author"), call.query("search")
    if author and author.lower() != repo.namespace.lower():
        return False
    if text and text.lower() not in repo.name.lower():
        return False
    gated = call.query("gated")
    if gated and call.flag("gated") != bool(repo.gated):
        return False
    task = call.query("pipeline_tag")
    if task and seen.summary.task != task:
        return False
    wanted = call.queries("filter")
    return not wanted or set(wanted) <= set(seen.tags)


def _name_in(wish: Mapping[str, Any], who: Caller) -> str:
    namespace = wish.get("organization") or who.name
    return names.repo_id(f"{namespace}/{wish.get('name')}")


def _private(wish: Mapping[str, Any], default: bool) -> bool:
    visibility = wish.get("visibility")
    if visibility is None:
        return bool(wish.get("private", default))
    if visibility not in ("public", "private"):
        raise bad_request("visibility must be public or private here")
    return bool(visibility == "private")


def _require_namespace(db: Db, who: Caller, name: str) -> None:
    namespace = name.split("/")[0]
    if people.owner(db, namespace) is None:
        raise Refusal(404, f"No such user or organization: {namespace}")
    if not access.can_write_in(who, name):
        raise forbidden(f"You don't have the rights to create a repo under {namespace}")


def nameless(call: Call) -> Response:
    """``gpt2``: repositories without a namespace exist on the Hub, never here."""
    raise repo_not_found(anonymous=call.who is None)


ROUTES = [
    post("/api/repos/create", create),
    delete("/api/repos/delete", remove),
    post("/api/repos/move", move),
    get("/api/{types}", search),
    get("/api/{types}/{id}", info),
    get("/api/{types}/{id}/revision/{rev}", info),
    put("/api/{types}/{id}/settings", settings),
    get("/api/{types}/{id}/auth-check", auth_check),
    get("/api/{types}/{id}/auth-check/{write}", auth_check),
]
NAMELESS = [
    get("/api/{types}/{name}", nameless),
    get("/api/{types}/{name}/revision/{rev}", nameless),
    get("/api/{types}/{name}/tree/{rest*}", nameless),
    get("/{prefix}{name}/resolve/{rest*}", nameless),
]
