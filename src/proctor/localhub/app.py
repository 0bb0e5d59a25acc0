"""The Local Hub as an ASGI application: from a request to a route, from a refusal to an answer."""

import asyncio
import hashlib
import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO
from urllib.parse import unquote

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from proctor.localhub import limits, outage, people
from proctor.localhub.blobs import Blobs
from proctor.localhub.call import Call, Route
from proctor.localhub.deliveries import Courier, DeliveryPolicy
from proctor.localhub.faults import Faults
from proctor.localhub.inlet import Inlet
from proctor.localhub.limits import Limits, Meter
from proctor.localhub.parts import Parts
from proctor.localhub.refusal import Refusal
from proctor.localhub.routes import ROUTES
from proctor.localhub.store import Store

_log = logging.getLogger(__name__)

MAX_BODY = 10 * 2**20
MAX_DRAIN = 64 * 2**20
MAX_COMMIT_BODY = 2 * 2**30
INLINE_LIMIT = 32 * 2**20


def create_app(
    root: Path,
    *,
    limits: Limits | None = None,
    deliveries: DeliveryPolicy | None = None,
    inline_limit: int = INLINE_LIMIT,
    public_url: str | None = None,
    cdn_url: str | None = None,
) -> "App":
    """An ASGI application over the state folder ``root``.

    ``inline_limit``: large-file types (``*.safetensors`` ...) up to this many bytes are accepted
    inside the commit itself, larger ones by LFS upload. A client with ``hf_xet`` would use the
    Xet protocol for the latter, which is not spoken here: such clients set HF_HUB_DISABLE_XET=1.
    ``cdn_url``: another address of this same application, to which downloads of large files are
    redirected; without it they are served in place. Raises ``store.FolderInUse``.
    """
    store = Store(root)
    blobs = Blobs(root)
    parts = Parts(
        store=store,
        blobs=blobs,
        meter=Meter(limits or Limits()),
        faults=Faults(),
        courier=Courier(store, deliveries or DeliveryPolicy()),
        public_url=public_url.rstrip("/") if public_url else None,
        cdn_url=cdn_url.rstrip("/") if cdn_url else None,
        inline_limit=inline_limit,
        admin_token=store.secret("admin"),
        link_key=store.secret("links"),
    )
    return App(parts)


class App:
    """The application. Its lifespan runs the sender of webhooks and closes the store."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        if scope["type"] != "http":
            return
        query = scope.get("query_string", b"").decode("latin-1")
        target = f"{_raw_path(scope)}?{query}".rstrip("?")
        # The switch itself must work whatever is broken.
        if not target.startswith("/_faults"):
            rule = self.parts.faults.strike(scope["method"], target)
            if rule is not None:
                await outage.inflict(rule, target, self._respond, scope, receive, send)
                return
        await self._respond(scope, receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        self.parts.courier.start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await run_in_threadpool(self.parts.courier.stop)
        self.parts.store.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _respond(self, scope: Scope, receive: Receive, send: Send) -> None:
        inlet = Inlet(receive)
        request = Request(scope, inlet)
        path = _raw_path(scope)
        rate: dict[str, str] = {}
        try:
            if not path.startswith("/_"):
                rate = self._rate(request, path)
            response = await self._find_and_answer(request, path)
        except Refusal as refusal:
            # A client still writing would see a broken pipe instead of why it was refused.
            await inlet.drain(MAX_DRAIN)
            response = _rendered(refusal)
        except ClientDisconnect:
            return
        except Exception:
            # The path without its query: a link's signature is in there.
            _log.exception("%s %s failed", scope["method"], path)
            response = JSONResponse({"error": "Internal error of the Local Hub"}, 500)
        for name, value in rate.items():
            response.headers.setdefault(name, value)
        await response(scope, receive, send)

    def _rate(self, request: Request, path: str) -> dict[str, str]:
        token = request.headers.get("authorization")
        client = request.client.host if request.client else ""
        who = hashlib.sha256(token.encode()).hexdigest() if token else client
        bucket = limits.bucket_of(path)
        allowed, headers = self.parts.meter.spend(who, bucket)
        if not allowed:
            raise Refusal(429, f"You have reached your '{bucket}' rate limit", headers=headers)
        return headers

    async def _find_and_answer(self, request: Request, path: str) -> Response:
        route, match = find(request.method, path)
        captured = {
            name: unquote(value) for name, value in match.groupdict().items() if value is not None
        }
        who = await run_in_threadpool(self._caller, request.headers.get("authorization"))

        def call(body: bytes = b"", spool: IO[bytes] | None = None) -> Call:
            return Call(self.parts, request, path, match, captured, who, body, spool)

        if route.stream is not None:
            return await route.stream(call())
        assert route.answer is not None
        if route.body == "spool":
            async with _spooled(request, self.parts.blobs) as spool:
                return await run_in_threadpool(route.answer, call(spool=spool))
        body = await _bounded(request)
        return await run_in_threadpool(route.answer, call(body=body))

    def _caller(self, authorization: str | None) -> people.Caller | None:
        if authorization == f"Bearer {self.parts.admin_token}":
            return None  # the admin's token opens the switches, not the repositories
        with self.parts.store.reading() as db:
            return people.caller(db, authorization)


def find(method: str, path: str) -> tuple[Route, re.Match[str]]:
    """The route of a request. 404 for an unknown path, 405 for a method it does not take."""
    methods: set[str] = set()
    for route in ROUTES:
        match = route.pattern.fullmatch(path)
        if match is None:
            continue
        if method in route.methods:
            return route, match
        methods |= route.methods
    if methods:
        raise Refusal(405, "Method not allowed", headers={"Allow": ", ".join(sorted(methods))})
    raise Refusal(404, "Sorry, we can't find the page you are looking for.")


def _raw_path(scope: Scope) -> str:
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    return raw.decode("latin-1")


async def _bounded(request: Request) -> bytes:
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > MAX_BODY:
            raise Refusal(413, f"The body exceeds {MAX_BODY} bytes")
        chunks.append(chunk)
    return b"".join(chunks)


@asynccontextmanager
async def _spooled(request: Request, blobs: Blobs) -> AsyncIterator[IO[bytes]]:
    """The body in a scratch file, so that a commit of gigabytes does not live in memory."""
    size = 0
    with blobs.spool() as spool:
        async for chunk in request.stream():
            size += len(chunk)
            if size > MAX_COMMIT_BODY:
                raise Refusal(413, f"The body exceeds {MAX_COMMIT_BODY} bytes")
            await asyncio.to_thread(spool.write, chunk)
        spool.seek(0)
        yield spool


def _rendered(refusal: Refusal) -> Response:
    response = JSONResponse({"error": refusal.message, **refusal.extra}, refusal.status)
    response.headers["X-Error-Message"] = _header_safe(refusal.message)
    if refusal.code is not None:
        response.headers["X-Error-Code"] = refusal.code
    for name, value in refusal.headers.items():
        response.headers[name] = value
    return response


def _header_safe(text: str) -> str:
    """Printable ASCII: a message may quote what the caller sent."""
    return "".join(char if " " <= char <= "~" else "?" for char in text)[:500]
