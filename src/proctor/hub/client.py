"""The HTTP client under huggingface_hub, with an end to every wait.

huggingface_hub has no timeouts by default, waits on a 429 without an upper bound, and falls back
to cached revisions in silence when the Hub answers 5xx. All three are cured here, in one place:
inside `attempt` a lost connection, a 408, a 429 or a 5xx is raised as TransientError, which no
part of huggingface_hub catches, so that neither its own retries nor its fallbacks come into play.
Outside of `attempt` (other users of huggingface_hub in this process) only the timeouts differ.
https://huggingface.co/docs/huggingface_hub/package_reference/utilities#configure-http-backend
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
from huggingface_hub import get_session, set_client_factory

# Blocks requests while HF_HUB_OFFLINE is set, and counts downloads: a client without it would
# behave unlike huggingface_hub's own.
from huggingface_hub.utils._http import hf_request_event_hook

from proctor.core.errors import PermanentError, TransientError, before_effect
from proctor.hub.deadline import Attempt, current, keep_deadlines
from proctor.hub.patience import Patience
from proctor.hub.pauses import Pauses
from proctor.hub.translate import lost, refusal_delay, refused

_WRITES_STAY_WRITES = "use the address that it redirects to as HF_ENDPOINT"


_installing = threading.Lock()


@contextmanager
def attempt(
    patience: Patience,
    pauses: Pauses,
    seconds: float | None = None,
    stop: threading.Event | None = None,
) -> Iterator[None]:
    """Bound all that this thread asks of huggingface_hub within the block, and keep to the
    `pauses` that the Hub asked for.

    `seconds` is the time for all of it (`patience.answer` by default); setting `stop` ends it
    with the next chunk.
    """
    _install()
    until = time.monotonic() + (patience.answer if seconds is None else seconds)
    token = current.set(Attempt(patience, pauses, until, stop or threading.Event()))
    try:
        yield
    finally:
        current.reset(token)


class BoundedClient(httpx2.Client):
    """An httpx2 client that always has timeouts, and inside `attempt` raises what can be retried
    as TransientError."""

    def send(self, request: httpx2.Request, *, stream: bool = False, **options: Any) -> Any:
        """Send a request; see `httpx2.Client.send`."""
        now = current.get()
        if now is None:
            return super().send(request, stream=stream, **options)
        with before_effect():
            now.check()
            now.pauses.check(request)
        try:
            response = super().send(request, stream=True, **options)
        except httpx2.TransportError as error:
            raise lost(error) from None
        except httpx2.TooManyRedirects:
            # Two that send us to each other: whoever set them up so is likely to mend it.
            raise TransientError(
                f"the Hub redirects a {request.method} of {request.url.path} without end"
            ) from None
        try:
            _judge(request, response)
            if not stream:
                response.read()
        except BaseException:
            response.close()
            raise
        return response


class _Body(httpx2.SyncByteStream):
    """A body whose errors are ours."""

    def __init__(self, body: httpx2.SyncByteStream) -> None:
        self._body = body

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._body
        except httpx2.TransportError as error:
            raise lost(error) from None

    def close(self) -> None:
        self._body.close()


def _judge(request: httpx2.Request, response: httpx2.Response) -> None:
    status = response.status_code
    if status in (408, 429) or status >= 500:
        error = TransientError(
            f"the Hub answered {status} to {request.method} {request.url.path}",
            delay=refusal_delay(response.headers),
        )
        error.without_effect = refused(status)
        raise error
    if response.history and response.request.method != request.method:
        # A 301 or 302 turns a POST into a GET (RFC 9110, section 15.4.2), which then succeeds
        # without having written anything.
        raise PermanentError(
            f"the Hub redirected a {request.method} of {request.url.path} with"
            f" {response.history[0].status_code}, so nothing was written; {_WRITES_STAY_WRITES}"
        )


def _bound(request: httpx2.Request) -> None:
    """Put a bound on each wait that has none: huggingface_hub passes `timeout=None` itself.

    Called for each request of a chain of redirects: none begins when the time is up.
    """
    now = current.get()
    if now is not None:
        now.check()
    patience = now.patience if now else Patience()
    left = max(now.until - time.monotonic(), 0.001) if now else patience.answer
    asked = request.extensions.get("timeout", {})
    bounds = {
        "connect": min(patience.connect, left),
        "pool": min(patience.read, left),
        "read": min(patience.read, left),
        "write": min(patience.read, left),
    }
    if now is None:
        bounds |= {kind: seconds for kind, seconds in asked.items() if seconds is not None}
    request.extensions = {**request.extensions, "timeout": bounds}


def _heed(response: httpx2.Response) -> None:
    """Note what an answer asks for. Called for each of a chain of redirects."""
    now = current.get()
    if now is not None:
        now.pauses.note(response.request, response)
        if isinstance(response.stream, httpx2.SyncByteStream):
            response.stream = _Body(response.stream)


def _client() -> httpx2.Client:
    patience = Patience()
    client = BoundedClient(
        event_hooks={"request": [hf_request_event_hook, _bound], "response": [_heed]},
        follow_redirects=True,
        timeout=httpx2.Timeout(patience.read, connect=patience.connect),
    )
    keep_deadlines(client)
    return client


def _install() -> None:
    """Make huggingface_hub use our client; again, should someone have put another in its place."""
    if isinstance(get_session(), BoundedClient):
        return
    with _installing:
        if not isinstance(get_session(), BoundedClient):
            set_client_factory(_client)
