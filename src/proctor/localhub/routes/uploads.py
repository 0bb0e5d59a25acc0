"""From files to a commit: preupload, LFS, commit.

LFS: https://github.com/git-lfs/git-lfs/blob/main/docs/api/batch.md, the ``basic`` transfer.
"""

import re
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from proctor.localhub import access, blobs, commits, names, payload, refs, repos, storage
from proctor.localhub.call import Call, get, post, stream_put
from proctor.localhub.contribution import contribute
from proctor.localhub.refusal import Refusal, bad_request

_SHA256 = re.compile(r"[0-9a-f]{64}")
_MAX_FILE = 50 * 10**9  # bytes; https://huggingface.co/docs/hub/storage-limits: 50 GB a file


def preupload(call: Call) -> Response:
    """How each file is to be sent, and what is at its path now."""
    files = call.json().get("files")
    if not isinstance(files, list):
        raise bad_request("files must be a list")
    with call.reading() as db:
        repo = call.repo(db)
        access.require_discuss(call.who, repo)
        sha = refs.resolve(db, repo, call["rev"])
        tree = commits.files(db, repo, sha)
        answers = []
        for file in files:
            if not isinstance(file, dict) or not isinstance(file.get("path"), str):
                raise bad_request("A file needs a path")
            path, size = names.file_path(file["path"]), _size(file.get("size"))
            lfs = storage.is_large(path, size) and size > call.parts.inline_limit
            answer: dict[str, Any] = {
                "path": path,
                "uploadMode": "lfs" if lfs else "regular",
                "shouldIgnore": False,  # .gitignore is not evaluated here
            }
            if path in tree:
                # The client compares with what it would send: content hash, not pointer hash.
                sha256 = tree[path].sha256
                answer["oid"] = sha256 if lfs else blobs.by_hash(db, sha256).git_oid
            answers.append(answer)
    return JSONResponse({"files": answers, "commitOid": sha})


def commit(call: Call) -> Response:
    with call.reading() as db:
        # Before any content is stored: may this caller write here at all?
        access.require_discuss(call.who, call.repo(db))
    assert call.spool is not None
    header, operations = payload.read(call.spool, call.parts.blobs)
    with call.writing() as (db, emit):
        repo = call.repo(db)
        result = contribute(
            db,
            emit,
            repo,
            call.who,
            rev=call["rev"],
            header=header,
            operations=operations,
            as_pull_request=call.flag("create_pr"),
        )
    answer = {
        "success": True,
        "commitOid": result.sha,
        "commitUrl": f"{call.base}/{repo.web_path}/commit/{result.sha}",
        "hookOutput": "",
    }
    if result.pull_request is not None:
        url = f"{call.base}/{repo.web_path}/discussions/{result.pull_request}"
        answer["pullRequestUrl"] = url
    return JSONResponse(answer)


def lfs_batch(call: Call) -> Response:
    wish = call.json()
    if wish.get("operation") != "upload":
        raise bad_request("Only uploads are offered: download through /resolve/")
    if "basic" not in wish.get("transfers", ["basic"]):
        raise bad_request("Only the basic transfer is offered")
    objects = wish.get("objects")
    if not isinstance(objects, list):
        raise bad_request("objects must be a list")
    answers = []
    with call.reading() as db:
        repo = call.repo(db)
        access.require_discuss(call.who, repo)
        for wanted in objects:
            if not isinstance(wanted, dict):
                raise bad_request("An object needs oid and size")
            oid, size = _oid(wanted.get("oid")), _size(wanted.get("size"))
            answer: dict[str, Any] = {"oid": oid, "size": size, "authenticated": True}
            if blobs.linked(db, repo.id, oid) is None:
                signed = call.parts.sign("put", repo.id, oid, size)
                origin = call.parts.cdn_url or call.base
                href = f"{origin}/_lfs/{repo.id}/{oid}?size={size}&{signed}"
                answer["actions"] = {"upload": {"href": href, "header": {}}}
            answers.append(answer)
    media = "application/vnd.git-lfs+json"
    return JSONResponse({"transfer": "basic", "objects": answers}, media_type=media)


async def lfs_put(call: Call) -> Response:
    """The upload itself: the signed link is the permission, no token needed."""
    repo_id, oid, size = call["repo"], call["oid"], _size(call.query("size"))
    call.parts.check(call.query("expires"), call.query("signature"), "put", repo_id, oid, size)
    with call.parts.blobs.receive(size) as upload:
        async for chunk in call.request.stream():
            await run_in_threadpool(upload.write, chunk)
        blob = await run_in_threadpool(upload.finish, oid)
    await run_in_threadpool(_link, call, repo_id, blob)
    return Response(status_code=200, headers={"ETag": f'"{oid}"'})


def _link(call: Call, repo_id: str, blob: blobs.Blob) -> None:
    with call.parts.store.transaction() as db:
        if repos.by_id(db, repo_id) is None:
            raise Refusal(404, "The repository is gone", "RepoNotFound")
        blobs.link(db, repo_id, blob)


def xet_token(call: Call) -> Response:
    raise Refusal(
        404, "The Local Hub does not speak Xet: set HF_HUB_DISABLE_XET=1 to upload files this large"
    )


def _size(size: object) -> int:
    if isinstance(size, str) and size.isascii() and size.isdigit() and len(size) < 15:
        size = int(size)
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= _MAX_FILE:
        raise bad_request(f"A size is a number of bytes up to {_MAX_FILE}")
    return size


def _oid(oid: object) -> str:
    if not isinstance(oid, str) or not _SHA256.fullmatch(oid):
        raise bad_request("An LFS oid is a SHA-256 in lower-case hex")
    return oid


ROUTES = [
    post("/api/{types}/{id}/preupload/{rev}", preupload),
    post("/api/{types}/{id}/commit/{rev}", commit, body="spool"),
    post("/{prefix}{id}.git/info/lfs/objects/batch", lfs_batch),
    get("/api/{types}/{id}/xet-write-token/{rev}", xet_token),
    stream_put("/_lfs/{repo}/{oid}", lfs_put),
]
