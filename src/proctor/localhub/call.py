"""One request as the routes see it: who asks, for what, with which body."""

import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, Any, Literal, TypeVar
from urllib.parse import parse_qs, urlencode

from starlette.requests import Request
from starlette.responses import Response

from proctor.localhub import access, repos, wire
from proctor.localhub.events import Emitter
from proctor.localhub.names import REPO_TYPES, RepoType
from proctor.localhub.parts import Parts
from proctor.localhub.people import Caller
from proctor.localhub.refusal import Refusal, bad_request, repo_not_found
from proctor.localhub.repos import Repo
from proctor.localhub.store import Db

_HOST = re.compile(r"[\w.-]+(:\d+)?|\[[0-9a-fA-F:.]+\](:\d+)?", re.ASCII)
Item = TypeVar("Item")


@dataclass(frozen=True)
class Call:
    """``captured`` holds the named parts of the path, unquoted. ``spool`` is the body on disk,
    for routes that asked for it that way; else ``body`` has it."""

    parts: Parts
    request: Request
    raw_path: str
    match: re.Match[str]
    captured: Mapping[str, str]
    who: Caller | None
    body: bytes = b""
    spool: IO[bytes] | None = None

    @property
    def base(self) -> str:
        """The address that links in answers start with: the one the client used."""
        if self.parts.public_url is not None:
            return self.parts.public_url
        host = self.request.headers.get("host", "")
        if not _HOST.fullmatch(host):
            name, port = self.request.scope.get("server") or ("127.0.0.1", 80)
            host = f"{name}:{port}"
        return f"http://{host}"

    def __getitem__(self, name: str) -> str:
        return self.captured.get(name) or ""

    # -- parameters -------------------------------------------------------------------------

    def query(self, name: str, default: str = "") -> str:
        return str(self.request.query_params.get(name, default))

    def queries(self, name: str) -> list[str]:
        """All values of a list parameter: repeated, with ``[]``, or separated by commas."""
        params = self.request.query_params
        values = [*params.getlist(name), *params.getlist(f"{name}[]")]
        return [part for value in values for part in value.split(",") if part]

    def flag(self, name: str) -> bool:
        return self.query(name).lower() in ("1", "true", "yes")

    def number(self, name: str, default: int, highest: int) -> int:
        """A positive number from the query, at most ``highest``; 400 when it is none."""
        text = self.query(name)
        if not text:
            return default
        if not (text.isascii() and text.isdigit()) or len(text) > 9:
            raise bad_request(f"{name} must be a number")
        return min(int(text), highest)

    def json(self) -> dict[str, Any]:
        """The body as a JSON object, {} when empty; 400 when it is anything else."""
        if not self.body:
            return {}
        try:
            loaded = wire.parse(self.body)
        except ValueError:
            raise bad_request("The body is not JSON") from None
        if loaded is None:
            return {}
        if not isinstance(loaded, dict):
            raise bad_request("The body is not a JSON object")
        return loaded

    def form(self) -> dict[str, list[str]]:
        """The body as a form, or as JSON with the same fields."""
        if self.request.headers.get("content-type", "").startswith("application/json"):
            return {
                name: [str(item) for item in (value if isinstance(value, list) else [value])]
                for name, value in self.json().items()
            }
        try:
            return parse_qs(self.body.decode(), max_num_fields=20_000)
        except ValueError:
            raise bad_request("The body is not a form") from None

    # -- the store --------------------------------------------------------------------------

    @contextmanager
    def reading(self) -> Iterator[Db]:
        with self.parts.store.reading() as db:
            yield db

    @contextmanager
    def writing(self) -> Iterator[tuple[Db, Emitter]]:
        """A transaction, and what to tell webhooks in it; they are sent once it is committed."""
        with self.parts.store.transaction() as db:
            yield db, Emitter(db, self.base)
        self.parts.courier.nudge()

    # -- the repository in the path ---------------------------------------------------------

    @property
    def kind(self) -> RepoType:
        return type_of((self["types"] or "models").removesuffix("s"))

    def repo(self, db: Db) -> Repo:
        """The repository that the path names, if the caller may see it.

        A repository that moved answers with a redirect, as on the Hub: 307 keeps method and body,
        and a relative Location keeps the token.
        """
        name = self["id"]
        found = repos.find(db, self.kind, name)
        if found is None:
            moved = repos.moved_from(db, self.kind, name)
            if moved is None or not access.can_read(self.who, moved):
                raise repo_not_found(anonymous=self.who is None)
            start, end = self.match.span("id")
            location = self.raw_path[:start] + moved.name + self.raw_path[end:]
            query = self.request.url.query
            raise Refusal(
                307,
                f"Moved to {moved.name}",
                headers={"Location": f"{location}?{query}" if query else location},
            )
        access.require_read(self.who, found)
        return found

    # -- answers ----------------------------------------------------------------------------

    def page(self, items: Sequence[Item], size: int) -> tuple[list[Item], dict[str, str]]:
        """One page of a listing, and the ``Link`` to the next. Cursors are offsets here; the
        Hub's are opaque, so nobody may rely on that."""
        start = self.number("cursor", 0, 10**9)
        chosen = list(items[start : start + size])
        if size < 1 or start + size >= len(items):
            return chosen, {}
        query = [(k, v) for k, v in self.request.query_params.multi_items() if k != "cursor"]
        query.append(("cursor", str(start + size)))
        link = f"{self.base}{self.raw_path}?{urlencode(query)}"
        return chosen, {"Link": f'<{link}>; rel="next"'}


def type_of(text: object) -> RepoType:
    """A repository type, or 400."""
    for kind in REPO_TYPES:
        if kind == text:
            return kind
    raise bad_request(f"Unknown repository type; known: {', '.join(REPO_TYPES)}")


Answer = Callable[[Call], Response]
StreamAnswer = Callable[[Call], Awaitable[Response]]
Body = Literal["bytes", "spool"]


@dataclass(frozen=True)
class Route:
    """A method, a path and what answers. The path is matched as sent, still quoted, because the
    client quotes the slashes of revisions: ``refs%2Fpr%2F1`` is one part.

    ``{types}`` is models, datasets or spaces; ``{id}`` is namespace/name; ``{prefix}`` is
    ``datasets/`` or ``spaces/`` or nothing; ``{rest*}`` takes slashes too.
    """

    methods: frozenset[str]
    path: str
    answer: Answer | None = None
    stream: StreamAnswer | None = None
    body: Body = "bytes"
    pattern: re.Pattern[str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "pattern", re.compile(_pattern(self.path)))


def _pattern(path: str) -> str:
    special = {
        "types": r"(?P<types>models|datasets|spaces)",
        "prefix": r"(?:(?P<types>datasets|spaces)/)?",
        "id": r"(?P<id>[^/]+/[^/]+?)",
    }
    pieces = re.split(r"\{(\w+\*?)\}", path)
    regex = ""
    for index, piece in enumerate(pieces):
        if index % 2 == 0:
            regex += re.escape(piece)
        elif piece.endswith("*"):
            regex += f"(?P<{piece[:-1]}>.+)"
        else:
            regex += special.get(piece, f"(?P<{piece}>[^/]+)")
    return regex


def get(path: str, answer: Answer) -> Route:
    return Route(frozenset({"GET", "HEAD"}), path, answer)


def post(path: str, answer: Answer, *, body: Body = "bytes") -> Route:
    return Route(frozenset({"POST"}), path, answer, body=body)


def put(path: str, answer: Answer) -> Route:
    return Route(frozenset({"PUT"}), path, answer)


def delete(path: str, answer: Answer) -> Route:
    return Route(frozenset({"DELETE"}), path, answer)


def stream_put(path: str, answer: StreamAnswer) -> Route:
    return Route(frozenset({"PUT"}), path, stream=answer)
