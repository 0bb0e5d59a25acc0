"""Pages of a repository, so that links in notices lead somewhere: what it is, its commits, its
files. Private ones show themselves to a token only, as everywhere."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from urllib.parse import quote

from starlette.responses import Response

from proctor.localhub import access, commits, refs, trees
from proctor.localhub.call import Call, get
from proctor.localhub.commits import Commit
from proctor.localhub.gitids import Entry
from proctor.localhub.markup import (
    Html,
    block,
    code,
    heading,
    link,
    page,
    paragraph,
    quoted,
    table,
    text,
)
from proctor.localhub.moment import iso
from proctor.localhub.refusal import entry_not_found
from proctor.localhub.repos import Repo
from proctor.localhub.store import Db

_LOG = 20
_ROWS = 500
_SHOWN = 100_000
"""Bytes of a text that are shown; the whole is a download."""


def repository(call: Call) -> Response:
    """What it is: its refs, its newest commits, its card."""
    with call.reading() as db:
        repo = call.repo(db)
        sha = refs.resolve(db, repo, "main")
        known = refs.everything(db, repo)
        log = _log(repo, islice(commits.log(db, repo, sha), _LOG))
        card = commits.files(db, repo, sha).get("README.md")
        parts = [
            paragraph(
                text(repo.type), text("private" if repo.private else "public"), code(repo.id)
            ),
            paragraph(link(_at(repo, "tree", "main"), text("Files"))),
            heading("Refs"),
            table((code(ref), _commit_link(repo, at), text(said or "")) for ref, at, said in known),
            heading("Commits"),
            log,
            paragraph(link(_at(repo, "commits", "main"), text("All commits"))),
        ]
        if card is not None and not repo.gated:
            parts += [heading("README.md"), _content(call, card)]
    return page(repo.name, parts, private=repo.private)


def log(call: Call) -> Response:
    """Commits, newest first, from a revision on."""
    size = call.number("limit", _ROWS, _ROWS) or _ROWS
    with call.reading() as db:
        repo = call.repo(db)
        found = list(islice(commits.log(db, repo, _sha(call, db, repo)), size))
        parts = [_home(repo), _log(repo, found)]
        if found[-1].parent is not None:
            parts.append(paragraph(link(_at(repo, "commits", found[-1].parent), text("Older"))))
    return page(f"Commits of {repo.name}", parts, private=repo.private)


def commit(call: Call) -> Response:
    """Who changed what, when, and why."""
    with call.reading() as db:
        repo = call.repo(db)
        sha = _sha(call, db, repo)
        made = commits.get(db, repo, sha)
        before = commits.files(db, repo, made.parent) if made.parent else {}
        changed = list(_changes(repo, made, before, commits.files(db, repo, sha)))
        named = [ref for ref, at, _ in refs.everything(db, repo) if at == sha]
    parts = [
        _home(repo),
        block(made.message) if made.message else Html(""),
        table(
            [
                (text("Commit"), code(sha)),
                (text("Parent"), _commit_link(repo, made.parent) if made.parent else text("none")),
                (text("Author"), text(made.author)),
                (text("Date"), text(iso(made.at))),
                (text("Refs here"), code(", ".join(named)) if named else text("none")),
                (text("Files"), link(_at(repo, "tree", sha), text("all files of this commit"))),
            ]
        ),
        heading(f"Files changed: {len(changed)}"),
        table(changed[:_ROWS]),
        _left_out(changed),
    ]
    return page(made.title, parts, private=repo.private)


def tree(call: Call) -> Response:
    """The files of a folder."""
    folder = call["rest"].strip("/")
    with call.reading() as db:
        repo = call.repo(db)
        sha = _sha(call, db, repo)
        files = commits.files(db, repo, sha)
    found = trees.below(files, folder, recursive=False)
    if found is None:
        raise entry_not_found(folder, sha)
    rows = [
        (link(_at(repo, "tree", sha, name.rstrip("/")), code(name)), text(""))
        if name.endswith("/")
        else (link(_at(repo, "blob", sha, name), code(name)), text(_size(files[name])))
        for name in found
    ]
    parts = [_home(repo), _where(repo, sha), table(rows[:_ROWS]), _left_out(rows)]
    return page(f"{repo.name}/{folder}".rstrip("/"), parts, private=repo.private)


def blob(call: Call) -> Response:
    """A file: its text, where it is one and not large."""
    path = call["rest"]
    with call.reading() as db:
        repo = call.repo(db)
        access.require_files(call.who, repo)
        sha = _sha(call, db, repo)
        entry = commits.files(db, repo, sha).get(path)
    if entry is None:
        raise entry_not_found(path, sha)
    parts = [
        _home(repo),
        _where(repo, sha),
        paragraph(text(_size(entry)), link(_at(repo, "resolve", sha, path), text("Download"))),
        paragraph(text("sha256"), code(entry.sha256)),
        _content(call, entry),
    ]
    return page(path, parts, private=repo.private)


def _sha(call: Call, db: Db, repo: Repo) -> str:
    return refs.resolve(db, repo, call["rev"])


def _at(repo: Repo, what: str, rev: str, path: str = "") -> str:
    place = f"/{repo.web_path}/{what}/{quoted(rev)}"
    return f"{place}/{quote(path)}" if path else place


def _home(repo: Repo) -> Html:
    return paragraph(link(f"/{repo.web_path}", text(repo.name)))


def _where(repo: Repo, sha: str) -> Html:
    return paragraph(text("at commit"), _commit_link(repo, sha))


def _commit_link(repo: Repo, sha: str) -> Html:
    return link(_at(repo, "commit", sha), code(sha[:8]))


def _log(repo: Repo, found: Iterable[Commit]) -> Html:
    return table(
        (_commit_link(repo, each.sha), text(each.title), text(each.author), text(iso(each.at)))
        for each in found
    )


def _changes(
    repo: Repo, made: Commit, before: Mapping[str, Entry], after: Mapping[str, Entry]
) -> Iterator[tuple[Html, Html, Html]]:
    for path in sorted({*before, *after}):
        old, new = before.get(path), after.get(path)
        if new is None:
            yield text("removed"), code(path), text("")
        elif old is None or old.oid != new.oid:
            place = link(_at(repo, "blob", made.sha, path), code(path))
            yield text("added" if old is None else "changed"), place, text(_size(new))


def _left_out(rows: Sequence[object]) -> Html:
    more = len(rows) - _ROWS
    return paragraph(text(f"and {more:,} more")) if more > 0 else Html("")


def _size(entry: Entry) -> str:
    return f"{entry.size:,} bytes{' (large file)' if entry.lfs else ''}"


def _content(call: Call, entry: Entry) -> Html:
    if entry.lfs:
        return paragraph(text("A large file is not shown."))
    with call.parts.blobs.path(entry.sha256).open("rb") as file:
        start = file.read(_SHOWN)
    if b"\0" in start:
        return paragraph(text("Not a text."))
    shown = block(start.decode("utf-8", "replace"))
    cut = entry.size > len(start)
    return Html(shown + paragraph(text(f"Cut after {_SHOWN:,} bytes."))) if cut else shown


# Their paths take nearly anything, so they come last.
PAGES = [
    get("/{prefix}{id}/commit/{rev}", commit),
    get("/{prefix}{id}/commits/{rev}", log),
    get("/{prefix}{id}/tree/{rev}", tree),
    get("/{prefix}{id}/tree/{rev}/{rest*}", tree),
    get("/{prefix}{id}/blob/{rev}/{rest*}", blob),
    get("/{prefix}{id}", repository),
]
