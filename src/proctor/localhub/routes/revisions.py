"""Refs, commits and trees of a repository."""

from starlette.responses import JSONResponse, Response

from proctor.localhub import access, commits, listing, names, refs, trees
from proctor.localhub.call import Call, delete, get, post
from proctor.localhub.refusal import bad_request, entry_not_found

_COMMITS_PAGE = 50
_TREE_PAGE = 1_000
_TREE_PAGE_EXPANDED = 50
_MAX_MESSAGE = 65_536


def list_refs(call: Call) -> Response:
    with call.reading() as db:
        repo = call.repo(db)
        everything = refs.everything(db, repo)
    kinds = {"branches": "refs/heads/", "tags": "refs/tags/", "converts": "refs/convert/"}
    if call.flag("include_prs"):
        kinds["pullRequests"] = "refs/pr/"
    return JSONResponse(
        {
            kind: [
                {"name": ref.removeprefix(prefix), "ref": ref, "targetCommit": sha}
                for ref, sha, _ in everything
                if ref.startswith(prefix)
            ]
            for kind, prefix in kinds.items()
        }
    )


def create_tag(call: Call) -> Response:
    wish = call.json()
    name = names.ref_name(str(wish.get("tag") or ""))
    message = wish.get("message")
    if message is not None and (not isinstance(message, str) or len(message) > _MAX_MESSAGE):
        raise bad_request("message must be a text")
    with call.writing() as (db, emit):
        repo = call.repo(db)
        access.require_write(call.who, repo)
        sha = refs.resolve(db, repo, call["rev"])
        emit.content(repo, [refs.create(db, repo, "tags", name, sha, message)])
    return JSONResponse({})


def delete_tag(call: Call) -> Response:
    return _delete(call, "tags")


def create_branch(call: Call) -> Response:
    start = call.json().get("startingPoint") or "main"
    name = names.ref_name(call["name"])
    with call.writing() as (db, emit):
        repo = call.repo(db)
        access.require_write(call.who, repo)
        sha = refs.resolve(db, repo, str(start))
        emit.content(repo, [refs.create(db, repo, "heads", name, sha)])
    return JSONResponse({})


def delete_branch(call: Call) -> Response:
    return _delete(call, "heads")


def _delete(call: Call, kind: str) -> Response:
    with call.writing() as (db, emit):
        repo = call.repo(db)
        access.require_write(call.who, repo)
        emit.content(repo, [refs.delete(db, repo, kind, call["name"])])
    return JSONResponse({})


def super_squash(call: Call) -> Response:
    """Replace a branch's history by one commit with the same files."""
    who = call.who
    with call.writing() as (db, emit):
        repo = call.repo(db)
        writer = access.require_write(who, repo)
        ref = refs.writable_ref(db, repo, call["rev"])
        old = refs.resolve(db, repo, ref)
        title = str(call.json().get("message") or "Super-squash branch")[:_MAX_MESSAGE]
        squashed = commits.make(
            db, repo, commits.files(db, repo, old), parent=None, author=writer.name, title=title
        )
        emit.content(repo, [commits.advance(db, repo, ref, squashed)])
    return JSONResponse({})


def list_commits(call: Call) -> Response:
    formatted = "formatted" in call.queries("expand")
    size = call.number("limit", _COMMITS_PAGE, _TREE_PAGE) or _COMMITS_PAGE
    with call.reading() as db:
        repo = call.repo(db)
        log = list(commits.log(db, repo, refs.resolve(db, repo, call["rev"])))
    chosen, headers = call.page(log, size)
    headers["X-Total-Count"] = str(len(log))
    return JSONResponse([commits.as_json(c, formatted=formatted) for c in chosen], headers=headers)


def tree(call: Call) -> Response:
    expand = call.flag("expand")
    default = _TREE_PAGE_EXPANDED if expand else _TREE_PAGE
    size = call.number("limit", default, default) or default
    with call.reading() as db:
        repo = call.repo(db)
        sha = refs.resolve(db, repo, call["rev"])
        files = commits.files(db, repo, sha)
        folder = call["rest"].strip("/")
        found = trees.below(files, folder, recursive=call.flag("recursive"))
        if found is None:
            raise entry_not_found(folder, sha)
        chosen, headers = call.page(found, size)
        answers = listing.describe(db, repo, sha, files, chosen, expand=expand)
    return JSONResponse(answers, headers=headers)


def paths_info(call: Call) -> Response:
    """What is at these paths; those where nothing is are left out."""
    form = call.form()
    expand = form.get("expand", ["false"])[0].lower() in ("true", "1")
    with call.reading() as db:
        repo = call.repo(db)
        sha = refs.resolve(db, repo, call["rev"])
        files = commits.files(db, repo, sha)
        folders = {name for name in trees.below(files, "", recursive=True) or [] if name[-1] == "/"}
        asked = [path.strip("/") for path in form.get("paths", [])]
        present = [path if path in files else f"{path}/" for path in asked]
        present = [name for name in present if name in files or name in folders]
        answers = listing.describe(db, repo, sha, files, present, expand=expand)
    return JSONResponse(answers)


ROUTES = [
    get("/api/{types}/{id}/refs", list_refs),
    post("/api/{types}/{id}/tag/{rev}", create_tag),
    delete("/api/{types}/{id}/tag/{name}", delete_tag),
    post("/api/{types}/{id}/branch/{name}", create_branch),
    delete("/api/{types}/{id}/branch/{name}", delete_branch),
    post("/api/{types}/{id}/super-squash/{rev}", super_squash),
    get("/api/{types}/{id}/commits/{rev}", list_commits),
    get("/api/{types}/{id}/tree/{rev}", tree),
    get("/api/{types}/{id}/tree/{rev}/{rest*}", tree),
    post("/api/{types}/{id}/paths-info/{rev}", paths_info),
]
