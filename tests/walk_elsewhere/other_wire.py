"""How the other Hub's answers look on the wire: each unlike the one before."""

from __future__ import annotations

import gzip
import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qsl, urlencode, urlsplit

from tests.walk_elsewhere.other_answers import stranger
from tests.walk_elsewhere.other_repos import Json, Refusal

_refusals, _pages, _sent = itertools.count(), itertools.count(), itertools.count()


@dataclass(frozen=True)
class Reply:
    """An answer: `told` is JSON, bytes as they are, or None for no body at all."""

    told: Json = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


def refused(why: Refusal) -> Reply:
    """A refusal: the code as documented, in words and a form of our own."""
    headers = {"X-Error-Message": why.words}
    if why.code:
        headers["X-Error-Code"] = why.code
    if next(_refusals) % 2:
        page = f"<!doctype html><h1>{why.status}</h1><p>{why.words}".encode()
        return Reply(page, why.status, {**headers, "Content-Type": "text/html"})
    return Reply({"error": why.words, "requestId": "4711"}, why.status, headers)


def page(target: str, host: str, everything: list[Json], size: int) -> Reply:
    """One page of a list, and where it goes on: by a cursor, in a Link that may be relative.

    https://huggingface.co/docs/hub/api#repo-listing-api
    """
    address = urlsplit(target)
    query = parse_qsl(address.query, keep_blank_values=True)
    at = int(dict(query).get("cursor") or 0)
    told = stranger(everything[at : at + size])
    if at + size >= len(everything):
        return Reply(told)
    kept = [(key, value) for key, value in query if key != "cursor"]
    onward = f"{address.path}?{urlencode([('cursor', str(at + size)), *kept])}"
    if next(_pages) % 2:
        return Reply(told, headers={"Link": f'<{onward}>; title="more"; rel=next'})
    first = f'<http://{host}{address.path}>; rel="first"'
    return Reply(told, headers={"Link": f'{first}, <http://{host}{onward}>; rel="next"'})


def send(handler: BaseHTTPRequestHandler, reply: Reply) -> None:
    """Write an answer: compressed or not, in chunks or not, with names of headers in any case."""
    turn = next(_sent)
    body, headers = _encoded(handler, reply, turn)
    bodiless = handler.command == "HEAD" or reply.status in (204, 304)
    chunked = bool(body) and turn % 3 == 0 and not bodiless
    if chunked:
        headers["Transfer-Encoding"] = "chunked"
    elif reply.status != 204:
        headers["Content-Length"] = str(len(body))
    if turn % 11 == 0:
        headers["Connection"] = "close"
    handler.send_response(reply.status, "As it were")
    for name, value in headers.items():
        handler.send_header((name.lower(), name.upper(), name)[turn % 3], value)
    handler.end_headers()
    if bodiless:
        return
    if chunked:
        half = len(body) // 2 or 1
        for piece in filter(None, (body[:half], body[half:])):
            handler.wfile.write(b"%x;odd=1\r\n%s\r\n" % (len(piece), piece))
        handler.wfile.write(b"0\r\n\r\n")
    else:
        handler.wfile.write(body)


def _encoded(
    handler: BaseHTTPRequestHandler, reply: Reply, turn: int
) -> tuple[bytes, dict[str, str]]:
    headers = dict(reply.headers)
    if reply.told is None:
        return b"", headers
    if isinstance(reply.told, bytes):
        body = reply.told
        headers.setdefault("Content-Type", "application/octet-stream")
    else:
        body = json.dumps(reply.told, indent=turn % 2 or None, ensure_ascii=turn % 2 == 0).encode()
        headers["Content-Type"] = ("application/json", "application/json; charset=utf-8")[turn % 2]
    if turn % 2 and "gzip" in handler.headers.get("Accept-Encoding", ""):
        body = gzip.compress(body, 1)
        headers |= {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
    return body, headers
