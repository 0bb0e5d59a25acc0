"""Reading repos: who answers to a name, where its refs are, what a revision holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TypeVar
from urllib.parse import quote

from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]  # exported at run time only

from proctor.core.errors import AccessDenied, PermanentError, RepoReplaced, RevisionGone
from proctor.core.evidence import Json
from proctor.core.names import Repo, RepoType, Revision, parse_revision
from proctor.core.registry import Commit, Description, File
from proctor.hub import answers
from proctor.hub.wire import Query, Wire
from proctor.ports.hub import Account

T = TypeVar("T")

_PAGE = 1000
"""Repos in one page of a list: the most that the Hub gives."""

_LISTED_WHOLE = 1000
"""Longer lists of files are read from the tree, which comes by pages and is never cut short."""


def account(wire: Wire) -> Account:
    """Who the token belongs to."""
    if not wire.token:
        raise AccessDenied("no token is set: set HF_TOKEN")
    told = answers.as_object(wire.read(wire.api.whoami))
    auth, orgs = told.get("auth"), told.get("orgs")
    token = auth.get("accessToken") if isinstance(auth, Mapping) else None
    role = token.get("role") if isinstance(token, Mapping) else None
    return Account(
        name=answers.text(told, "name"),
        orgs=tuple(answers.text(answers.as_object(org), "name") for org in orgs)
        if isinstance(orgs, list)
        else (),
        role=role if isinstance(role, str) and role in _ROLES else "unknown",
    )


_ROLES = ("read", "write", "fineGrained")


def find(wire: Wire, type: RepoType, name: str, seconds: float | None = None) -> Repo:
    """The repo that answers to `name` now; a redirect after a rename is followed. No try takes
    longer than `seconds`: so old is the answer at the most."""
    path = _path(wire, type, name)
    return answers.repo(type, wire.get(path, {"expand": ["private"]}, seconds))


def same(wire: Wire, repo: Repo, seconds: float | None = None) -> Repo:
    """The repo as it is now, `seconds` old at the most. Raises RepoReplaced when its name belongs
    to another one."""
    found = find(wire, repo.type, repo.name, seconds)
    if found.hub_id != repo.hub_id:
        raise RepoReplaced(f"{repo.name} is now another repo ({found.hub_id}, not {repo.hub_id})")
    return found


def refs(wire: Wire, repo: Repo) -> Mapping[str, Revision]:
    """Branches, tags and pull requests, by full name."""

    return _of(wire, repo, lambda: wire.read(lambda: _refs(wire, repo)))


def glance(wire: Wire, repo: Repo, seconds: float) -> Mapping[str, Revision]:
    """The refs under the repo's name, whoever answers to it, asked for once."""
    return wire.once(lambda: _refs(wire, repo), seconds=seconds)


def _refs(wire: Wire, repo: Repo) -> Mapping[str, Revision]:
    listed = wire.api.list_repo_refs(
        repo.name, repo_type=repo.type.value, include_pull_requests=True
    )
    told = [*listed.branches, *listed.tags, *(listed.pull_requests or [])]
    return {ref.ref: parse_revision(ref.target_commit) for ref in told}


def describe(wire: Wire, repo: Repo, revision: Revision) -> tuple[Repo, Description]:
    """The repo under its current name, and what it holds at exactly this revision."""
    path = f"{_path(wire, repo.type, repo.name)}/revision/{parse_revision(revision)}"
    try:
        answer = wire.get(path, {"blobs": True})
    except RevisionGone:
        same(wire, repo)
        raise
    found = answers.repo(repo.type, answer)
    if found.hub_id != repo.hub_id:
        raise RepoReplaced(f"{repo.name} is now another repo ({found.hub_id}, not {repo.hub_id})")
    files = answers.siblings(answer)
    if files is None or len(files) >= _LISTED_WHOLE:
        files = _tree(wire, found, revision)
    described = answers.description(answer, files)
    if described.revision != revision:
        raise PermanentError(f"asked for {revision}, the Hub described {described.revision}")
    return found, described


def history(wire: Wire, repo: Repo, revision: Revision, limit: int) -> Sequence[Commit]:
    """The newest commits up to the revision."""
    path = f"{_path(wire, repo.type, repo.name)}/commits/{parse_revision(revision)}"

    def read() -> list[Commit]:
        return [answers.commit(item) for item in islice(wire.pages(path), limit)]

    return _of(wire, repo, read)


def heads(wire: Wire, owner: str, type: RepoType) -> Iterator[tuple[Repo, Revision | None]]:
    """The head of main of each of the owner's repos."""
    query: Query = {"author": owner, "expand": ["sha", "private"], "limit": _PAGE}
    for item in wire.pages(f"/api/{type.value}s", query):
        yield answers.repo(type, item), answers.head(item)


def _of(wire: Wire, repo: Repo, read: Callable[[], T]) -> T:
    """What `read` brings from the repo's name, if the name is still the repo's afterwards.

    Checked after, so that the answer is the right repo's; and where the revision is not found,
    so that a stranger's repo is not mistaken for ours that lost it.
    """
    try:
        found = read()
    except RevisionGone:
        same(wire, repo)
        raise
    same(wire, repo)
    return found


def _tree(wire: Wire, repo: Repo, revision: Revision) -> list[File]:
    path = f"{_path(wire, repo.type, repo.name)}/tree/{revision}"
    listed: Iterator[Json] = wire.pages(path, {"recursive": True})
    return [file for item in listed if (file := answers.tree_file(item)) is not None]


def _path(wire: Wire, type: RepoType, name: str) -> str:
    wire.once(lambda: validate_repo_id(name))
    return f"/api/{type.value}s/{quote(name, safe='/')}"
