"""One token, one endpoint: how the adapter asks the Hub."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar
from urllib.parse import urljoin, urlsplit

import httpx2
from huggingface_hub import HfApi, get_session, hf_raise_for_status
from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]  # exported at run time only

from proctor.core.errors import PermanentError, ProctorError, TransientError
from proctor.core.evidence import Json
from proctor.hub.client import attempt
from proctor.hub.patience import Patience
from proctor.hub.pauses import Pauses
from proctor.hub.retry import persist
from proctor.hub.translate import Redactor, translate

T = TypeVar("T")

MOST_PAGES = 1000
"""Pages of one list: a million repos. What has more does not end."""

Query = Mapping[str, str | int | bool | Sequence[str]]


class Wire:
    """Asks the Hub, bounded in time, and raises only the errors of `core.errors`."""

    def __init__(self, endpoint: str, token: str | None, patience: Patience) -> None:
        self.endpoint = endpoint.rstrip("/")
        # False, not None: None would let huggingface_hub look for a token of its own.
        self.token: str | bool = token or False
        self.api = HfApi(endpoint=self.endpoint, token=self.token, library_name="proctor")
        self.patience = patience
        self.redact = Redactor([token])
        self._pauses = Pauses()
        self._wary_until = 0.0

    def read(
        self,
        work: Callable[[], T],
        *,
        seconds: float | None = None,
        stop: threading.Event | None = None,
    ) -> T:
        """Do `work`, which may be done twice: again after transient errors. `seconds` bounds
        each try. With `stop` it is a download: setting it ends the try with the next chunk, and
        there is no other."""
        if stop is not None:
            return persist(lambda: self.once(work, seconds=seconds, stop=stop), self.patience, stop)
        return persist(
            lambda: self._briskly(work, seconds), self.patience, within=self.patience.brisk
        )

    def _briskly(self, work: Callable[[], T], seconds: float | None) -> T:
        """Do `work` once. While answers fail to come, it has little time."""
        began, patience = time.monotonic(), self.patience
        wary = began < self._wary_until
        longest = patience.answer if seconds is None else seconds
        try:
            return self.once(work, seconds=min(longest, patience.brisk) if wary else longest)
        except TransientError:
            ended = time.monotonic()
            if not wary and ended - began >= patience.brisk:
                # Only then: those that were cut short would go on for ever, and what is
                # slow, but comes, would never come.
                self._wary_until = ended + patience.wary
            raise

    def once(
        self,
        work: Callable[[], T],
        *,
        seconds: float | None = None,
        stop: threading.Event | None = None,
        redact: Redactor | None = None,
    ) -> T:
        """Do `work` exactly once."""
        with attempt(self.patience, self._pauses, seconds, stop):
            try:
                return work()
            except Exception as error:
                problem = translate(error, redact or self.redact, anonymous=not self.token)
        # Raised out here, the error drags no context along that holds the answer's body.
        raise _bare(problem)

    def get(self, path: str, query: Query | None = None, seconds: float | None = None) -> Json:
        """The JSON at `path`. `seconds` bounds each try."""
        return self.read(lambda: _json(self._get(self.endpoint + path, query)), seconds=seconds)

    def pages(self, path: str, query: Query | None = None) -> Iterator[Json]:
        """The items of a list that comes by pages, each page asked for when it is needed.

        https://huggingface.co/docs/hub/api#repo-listing-api
        """
        url: str = self.endpoint + path
        for _ in range(MOST_PAGES):
            response, items = self._read_page(url, query)
            query = None
            if not isinstance(items, list):
                raise PermanentError(f"the Hub answered no list to GET {path}")
            yield from items
            following = self._next(response)
            if following is None:
                return
            if not items:
                break
            url = following
        raise PermanentError(f"the Hub's list at {path} goes on without end")

    def _read_page(self, url: str, query: Query | None) -> tuple[httpx2.Response, Json]:
        def page() -> tuple[httpx2.Response, Json]:
            response = self._get(url, query)
            return response, _json(response)

        return self.read(page)

    def _get(self, url: str, query: Query | None) -> httpx2.Response:
        headers = build_hf_headers(token=self.token, library_name="proctor")
        response = get_session().get(url, params=query, headers=headers)
        hf_raise_for_status(response)
        return response

    def _next(self, response: httpx2.Response) -> str | None:
        link = response.links.get("next", {}).get("url")
        if link is None:
            return None
        url = urljoin(str(response.url), link)
        if urlsplit(url)[:2] != urlsplit(str(response.url))[:2]:
            # The token goes with the request: it must not leave the host.
            raise PermanentError("the Hub's list goes on at another host; not followed")
        return url


def _bare(error: ProctorError) -> ProctorError:
    error.__cause__ = error.__context__ = None
    return error


def _json(response: httpx2.Response) -> Json:
    answer: Json = response.json()
    return answer
