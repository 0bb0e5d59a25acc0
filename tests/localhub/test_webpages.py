"""Pages for people: links of notices lead somewhere, and nobody's text is taken for markup."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import unescape
from html.parser import HTMLParser

import httpx2
import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationCopy, CommitOperationDelete, HfApi

from proctor.core.names import RepoType, Revision
from proctor.localhub import LocalHub
from proctor.settings import Settings
from proctor.wiring import Wiring

EVIL = "<script>alert(1)</script>\"'&"


class Seen(HTMLParser):
    """What a browser would make of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: list[str] = []
        self.handlers: list[str] = []
        self.text = ""
        self.feed(html)
        self.text = " ".join(self.text.split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.handlers += [name for name, _ in attrs if name.startswith("on")]
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]

    def handle_data(self, data: str) -> None:
        self.text += f" {data}"


def read(http: httpx2.Client, path: str) -> Seen:
    """A page that anybody may read. It can do no harm."""
    answer = http.get(path)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert "script-src" not in answer.headers["content-security-policy"]
    seen = Seen(answer.text)
    assert not seen.tags & {"script", "img", "iframe", "object", "form"}
    assert not seen.handlers
    assert all(link.startswith("/") and not link.startswith("//") for link in seen.links)
    return seen


def commit(
    api: HfApi, repo: str, title: str, files: Mapping[str, bytes], type: str | None = None
) -> str:
    changes = [CommitOperationAdd(path, content) for path, content in files.items()]
    made = api.create_commit(
        repo, changes, commit_message=title, commit_description="Because.", repo_type=type
    )
    return str(made.oid)


@pytest.mark.parametrize("type", list(RepoType))
def test_the_links_of_notices_lead_somewhere(
    ana: HfApi, http: httpx2.Client, hub: LocalHub, type: RepoType
) -> None:
    name = f"acme/linked-{type.value}"
    ana.create_repo(
        name, repo_type=type.value, space_sdk="static" if type.value == "space" else None
    )
    sha = commit(ana, name, "Train on", {"weights": b"w"}, type.value)
    wiring = Wiring(Settings.from_environment({"HF_ENDPOINT": hub.url}))
    links = [wiring.link(type, name, None), wiring.link(type, name, Revision(sha))]
    about, made = (read(http, link.removeprefix(hub.url)) for link in links)
    assert name in about.text
    assert "Train on" in about.text
    assert sha in made.text


def test_a_commit_tells_who_changed_what_and_why(
    ana: HfApi, http: httpx2.Client, repo: str
) -> None:
    first = commit(ana, repo, "One", {"kept": b"same", "changed": b"old", "removed": b"gone"})
    changes: list[CommitOperationAdd | CommitOperationCopy | CommitOperationDelete] = [
        CommitOperationAdd("changed", b"new!"),
        CommitOperationAdd("sub/added", b"here"),
        CommitOperationDelete("removed"),
    ]
    made = ana.create_commit(repo, changes, commit_message="Two", commit_description="Because.")
    ana.create_tag(repo, tag="prod", revision=made.oid)
    page = read(http, f"/{repo}/commit/{made.oid}")
    for told in ("Two", "Because.", "Author ana", "refs/tags/prod", "Files changed: 3"):
        assert told in page.text
    assert "changed changed 4 bytes" in page.text
    assert "removed removed" in page.text
    assert "added sub/added 4 bytes" in page.text
    assert "kept" not in page.text
    assert f"/{repo}/commit/{first}" in page.links
    assert re.search(r"Date \d{4}-\d\d-\d\dT", page.text)


def test_every_link_of_every_page_works(ana: HfApi, http: httpx2.Client, repo: str) -> None:
    files = {"README.md": b"---\nlicense: mit\n---\n# Hi", "a b/c#d?.txt": b"odd", "x.json": b"{}"}
    for number in range(3):
        commit(ana, repo, f"Push {number}", {**files, "number": str(number).encode()})
    ana.create_branch(repo, branch="feature/one")
    waiting, known = [f"/{repo}"], {f"/{repo}"}
    while waiting:
        path = waiting.pop()
        if "/resolve/" in path:
            assert http.get(path).status_code == 200
            continue
        fresh = {unescape(link) for link in read(http, path).links} - known
        waiting += fresh
        known |= fresh
    kinds = {path.removeprefix(f"/{repo}").split("/")[1] for path in known - {f"/{repo}"}}
    assert kinds == {"commit", "commits", "tree", "blob", "resolve"}
    assert any("a%20b/c%23d%3F.txt" in path for path in known)


def test_what_people_wrote_is_text(ana: HfApi, http: httpx2.Client, repo: str) -> None:
    evil = f"a/{EVIL.replace('/', '_')}.txt"
    card = f"---\nlicense: mit\n---\n{EVIL}".encode()
    sha = commit(ana, repo, EVIL, {evil: EVIL.encode(), "README.md": card})
    ana.create_tag(repo, tag="v1", revision=sha, tag_message=EVIL)
    for path in ("", f"/commit/{sha}", f"/commits/{sha}", f"/tree/{sha}/a", "/tree/main"):
        page = read(http, f"/{repo}{path}")
        if path != "/tree/main":
            assert EVIL[:17] in page.text
    (shown,) = [link for link in read(http, f"/{repo}/tree/{sha}/a").links if "/blob/" in link]
    assert EVIL in read(http, shown).text


def test_what_is_not_text_is_not_shown(ana: HfApi, http: httpx2.Client, repo: str) -> None:
    files = {"w.safetensors": b"w" * 9, "odd.bin": b"\0\1", "latin": b"\xe9t\xe9"}
    sha = commit(ana, repo, "Odd", files)
    assert "is not shown" in read(http, f"/{repo}/blob/{sha}/w.safetensors").text
    assert read(http, f"/{repo}/blob/{sha}/latin").text.count("\ufffd") == 2
    long = commit(ana, repo, "Long", {"long": b"x" * 200_000})
    assert "Cut after 100,000 bytes" in read(http, f"/{repo}/blob/{long}/long").text


def test_long_histories_go_on(ana: HfApi, http: httpx2.Client, repo: str) -> None:
    for number in range(3):
        commit(ana, repo, f"Push {number}", {"number": str(number).encode()})
    path, told = f"/{repo}/commits/main", ""
    for _ in range(2):
        page = read(http, f"{path}?limit=2")
        told += page.text
        path = page.links[-1]
    titles = re.findall(r"Push \d|initial commit", told)
    assert titles == ["Push 2", "Push 1", "Push 0", "initial commit"]
    assert "Older" not in page.text


def test_private_pages_need_a_token_that_may(
    ana: HfApi, bob: HfApi, http: httpx2.Client, repo: str
) -> None:
    sha = commit(ana, repo, "A secret plan", {"secret": b"hidden words"})
    ana.update_repo_settings(repo, private=True)
    for path in ("", f"/commit/{sha}", "/commits/main", "/tree/main", "/blob/main/secret"):
        for api, status in ((None, 401), (bob, 404), (ana, 200)):
            headers = {"Authorization": f"Bearer {api.token}"} if api else {}
            answer = http.get(f"/{repo}{path}", headers=headers)
            assert answer.status_code == status
            assert (repo in answer.text) == (status == 200)
            if status == 200:
                assert answer.headers["cache-control"] == "no-store"


def test_gated_files_stay_shut(ana: HfApi, bob: HfApi, http: httpx2.Client, repo: str) -> None:
    card = b"---\nlicense: mit\n---\nfor members"
    commit(ana, repo, "Gate", {"README.md": card, "weights": b"dear"})
    ana.update_repo_settings(repo, gated="manual")
    assert "for members" not in read(http, f"/{repo}").text
    assert http.get(f"/{repo}/blob/main/weights").status_code == 401
    headers = {"Authorization": f"Bearer {bob.token}"}
    assert http.get(f"/{repo}/blob/main/weights", headers=headers).status_code == 403


def test_what_is_not_there(http: httpx2.Client, repo: str) -> None:
    for path in (
        f"/{repo}/commit/{'0' * 40}",
        f"/{repo}/commit/nowhere",
        f"/{repo}/tree/main/nowhere",
        f"/{repo}/blob/main/nowhere",
        "/acme/nowhere/commit/main",
    ):
        answer = http.get(path)
        assert answer.status_code in (401, 404)
        assert answer.headers["content-type"] == "application/json"


def test_a_renamed_repos_links_still_lead_there(ana: HfApi, http: httpx2.Client, repo: str) -> None:
    sha = commit(ana, repo, "Before", {"a": b"a"})
    ana.move_repo(repo, f"{repo}-two")
    answer = http.get(f"/{repo}/commit/{sha}")
    assert answer.status_code == 307
    assert "Before" in read(http, answer.headers["location"]).text
