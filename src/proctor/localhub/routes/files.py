"""Downloads: /resolve/ and what it redirects to."""

from urllib.parse import quote

from starlette.responses import FileResponse, RedirectResponse, Response

from proctor.localhub import access, commits, refs
from proctor.localhub.call import Call, get
from proctor.localhub.refusal import entry_not_found


def resolve(call: Call) -> Response:
    """A file at a revision. Large files redirect to the CDN, with all the client needs to know
    on the redirect itself: it does not follow it when it only asks for metadata."""
    path = call["rest"]
    with call.reading() as db:
        repo = call.repo(db)
        access.require_files(call.who, repo)
        sha = refs.resolve(db, repo, call["rev"])
        entry = commits.files(db, repo, sha).get(path)
    if entry is None:
        raise entry_not_found(path, sha)
    etag = f'"{entry.sha256 if entry.lfs else entry.oid}"'
    headers = {
        "X-Repo-Commit": sha,
        "ETag": etag,
        "Cache-Control": "no-store" if repo.private else "no-cache",
        "X-Content-Type-Options": "nosniff",
    }
    if entry.lfs:
        headers |= {
            "X-Linked-Size": str(entry.size),
            "X-Linked-ETag": etag,
            "Accept-Ranges": "bytes",
        }
        if call.parts.cdn_url is not None:
            name = quote(path.rpartition("/")[2], safe="")
            signed = call.parts.sign("get", entry.sha256)
            target = f"{call.parts.cdn_url}/_lfs/{entry.sha256}?name={name}&{signed}"
            return RedirectResponse(target, 302, headers)
    # Never HTML: a repository must not run scripts in the origin of the API.
    text = not entry.lfs
    return FileResponse(
        call.parts.blobs.path(entry.sha256),
        headers=headers,
        media_type="text/plain" if text else "application/octet-stream",
        filename=path.rpartition("/")[2],
        content_disposition_type="inline" if text else "attachment",
    )


def large_file(call: Call) -> Response:
    """What a redirect of ``resolve`` leads to; the signature stands for the token."""
    sha256 = call["oid"]
    call.parts.check(call.query("expires"), call.query("signature"), "get", sha256)
    return FileResponse(
        call.parts.blobs.path(sha256),
        headers={"ETag": f'"{sha256}"', "Cache-Control": "private, immutable"},
        media_type="application/octet-stream",
        filename=call.query("name") or sha256,
    )


ROUTES = [
    get("/{prefix}{id}/resolve/{rev}/{rest*}", resolve),
    get("/{prefix}{id}/raw/{rev}/{rest*}", resolve),
    get("/_lfs/{oid}", large_file),
]
