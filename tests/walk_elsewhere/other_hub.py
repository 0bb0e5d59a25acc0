"""Another server that keeps the Hub's contract, as unlike Proctor's own as the contract lets it.

Written from the documentation (https://huggingface.co/docs/hub) and the sources of huggingface_hub
alone; it shares nothing with `proctor.localhub`. In memory, over the standard library's server.
Large files lie on a second server, another origin, as with the Hub's storage.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from urllib.parse import parse_qs, quote, unquote, urlsplit

from tests.walk_elsewhere import other_answers as answers
from tests.walk_elsewhere.other_post import Post
from tests.walk_elsewhere.other_repos import Json, OtherRepo, OtherRepos, Refusal
from tests.walk_elsewhere.other_wire import Reply, page, refused, send

_KINDS = ("models", "datasets", "spaces")


class OtherHub:
    """A Hub with one user, `ana`, who belongs to `acme`; `token` is theirs. Use as a context."""

    token = "hf_MadeUpTokenOfAnaElsewhere"

    def __init__(self) -> None:
        self.post = Post()
        self.repos = OtherRepos(self.post.tell)
        self.listed = 0
        """How often the repos of an owner were listed, pages counted."""
        self.token_at_storage = False
        """Whether the token was ever shown to the storage, which is nobody's business."""
        self._servers = [_Server(self, _Front), _Server(self, _Storage)]
        self.url = f"http://127.0.0.1:{self._servers[0].server_port}"
        self.storage_url = f"http://localhost:{self._servers[1].server_port}"

    def __enter__(self) -> OtherHub:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.post.close()
        for server in self._servers:
            server.end()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, hub: OtherHub, handler: type[_Handler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.hub = hub
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,))
        self._thread.start()

    def handle_error(self, *_: object) -> None:
        """Clients leave when they like."""

    def end(self) -> None:
        """Stop answering."""
        self.shutdown()
        self._thread.join()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server_version = "Elsewhere/9"
    server: _Server

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            reply = self.reply(json.loads(body) if body else {})
        except Refusal as why:
            reply = refused(why)
        send(self, reply)

    do_HEAD = do_POST = do_DELETE = do_GET  # noqa: N815 - named so by the standard library

    def reply(self, asked: Json) -> Reply:
        """What to answer to a request with this JSON."""
        raise NotImplementedError


class _Storage(_Handler):
    def reply(self, asked: Json) -> Reply:
        """A large file by its hash, in an address that works for whoever has it."""
        hub = self.server.hub
        hub.token_at_storage |= "Authorization" in self.headers
        address = urlsplit(self.path)
        kind, owner, name, revision, sha256 = address.path.strip("/").split("/")
        if parse_qs(address.query).get("Signature") != [sha256[:8]]:
            raise Refusal(403, "", "not signed")
        files = hub.repos.find(kind, f"{owner}/{name}").at(revision).files.values()
        found = next(b for b in files if b.large and b.sha256 == sha256)
        return Reply(found.content, headers={"ETag": f'"{sha256[:16]}-7"'})


class _Front(_Handler):
    def reply(self, asked: Json) -> Reply:
        hub = self.server.hub
        address = urlsplit(self.path)
        parts = [unquote(part) for part in address.path.split("/")[1:]]
        query = parse_qs(address.query)
        self._authorize()
        match self.command, parts:
            case "GET", ["api", "whoami-v2"]:
                return Reply(answers.stranger(_ANA))
            case "GET", ["api", "organizations", "acme", "overview"]:
                return Reply(answers.stranger({"name": "acme", "fullname": "Acme"}))
            case "GET", ["api", "settings", "webhooks"]:
                told = [each.told() for each in hub.post.subscriptions]
                return Reply(answers.stranger(told))
            case "POST", ["api", "settings", "webhooks"]:
                made = hub.post.subscribe(asked)
                return Reply(answers.stranger({"webhook": made.told()}), 201)
            case "GET", ["api", kind] if kind in _KINDS:
                hub.listed += 1
                listed = hub.repos.of(kind, query["author"][0])
                return self._page([answers.expanded(r, query["expand"]) for r in listed], 1)
            case _, ["api", kind, owner, name, *rest] if kind in _KINDS:
                return self._moved(kind, f"{owner}/{name}") or self._about(
                    hub.repos.find(kind, f"{owner}/{name}"), rest, query, asked
                )
            case "GET" | "HEAD", ["cached", kind, owner, name, revision, *path]:
                return self._small(hub.repos.find(kind, f"{owner}/{name}"), revision, path)
            case "GET" | "HEAD", [kind, owner, name, "resolve", revision, *path]:
                return self._resolve(kind, f"{owner}/{name}", revision, path)
            case "GET" | "HEAD", [owner, name, "resolve", revision, *path]:
                return self._resolve("models", f"{owner}/{name}", revision, path)
        raise Refusal(404, "", f"nobody lives at {address.path}")

    def _authorize(self) -> None:
        """All is for members here. "Invalid …" is what huggingface_hub looks for."""
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        if not scheme:
            raise Refusal(401, "RepoNotFound", "who are you?")
        if (scheme, token) != ("Bearer", self.server.hub.token):
            raise Refusal(401, "", "Invalid credentials in Authorization header")

    def _about(
        self, repo: OtherRepo, rest: list[str], query: Mapping[str, list[str]], asked: Json
    ) -> Reply:
        hub = self.server.hub
        match self.command, rest:
            case "GET", []:
                return Reply(answers.stranger(answers.expanded(repo, query["expand"])))
            case "GET", ["revision", revision]:
                blobs = query.get("blobs") == ["true"]
                return Reply(answers.stranger(answers.details(repo, revision, blobs=blobs)))
            case "GET", ["refs"]:
                pulls = "include_prs" in query
                return Reply(answers.stranger(answers.refs(repo, pulls=pulls)))
            case "GET", ["commits", revision]:
                return self._page(answers.commits(repo, revision))
            case "GET", ["tree", revision] if query.get("recursive") == ["true"]:
                return self._page(answers.tree(repo, revision))
            case "POST", ["tag", revision]:
                hub.repos.create_tag(repo, asked["tag"], revision)
                return Reply(answers.stranger({"name": asked["tag"]}), 201)
            case "DELETE", ["tag", tag]:
                hub.repos.delete_tag(repo, tag)
                return Reply(status=204)
        raise Refusal(404, "", "a repo has no such part")

    def _page(self, everything: list[Json], size: int = 2) -> Reply:
        return page(self.path, self.headers["Host"], everything, size)

    def _moved(self, kind: str, name: str) -> Reply | None:
        new = self.server.hub.repos.moved_to(kind, name)
        if new is None:
            return None
        # In whole where the documentation shows a path only, and the other way round.
        base = self.server.hub.url if self.path.startswith("/api/") else ""
        return Reply(status=307, headers={"Location": base + self.path.replace(name, new, 1)})

    def _resolve(self, kind: str, name: str, revision: str, path: list[str]) -> Reply:
        hub = self.server.hub
        moved = self._moved(kind, name)
        if moved is not None:
            return moved
        repo = hub.repos.find(kind, name)
        sha, blob = answers.blob_at(repo, revision, "/".join(path))
        if not blob.large:
            where = "/".join(quote(part) for part in (kind, name, sha, *path))
            return Reply(status=307, headers={"Location": f"/cached/{where}"})
        where = f"{hub.storage_url}/{kind}/{name}/{sha}/{blob.sha256}?Signature={blob.sha256[:8]}"
        headers = {
            "Location": where,
            "X-Repo-Commit": sha,
            "X-Linked-Size": str(len(blob.content)),
            "X-Linked-ETag": f'"{blob.sha256}"',
            "ETag": f'"{blob.oid}"',
        }
        return Reply(status=302, headers=headers)

    def _small(self, repo: OtherRepo, revision: str, path: list[str]) -> Reply:
        sha, blob = answers.blob_at(repo, revision, "/".join(path))
        return Reply(blob.content, headers={"X-Repo-Commit": sha, "ETag": f'W/"{blob.oid}"'})


_ANA = {
    "type": "user",
    "id": "ana-elsewhere",
    "name": "ana",
    "orgs": [{"type": "org", "name": "acme", "roleInOrg": "write"}],
    "auth": {
        "type": "access_token",
        "accessToken": {"displayName": "proctor", "role": "write", "createdAt": None},
    },
}
