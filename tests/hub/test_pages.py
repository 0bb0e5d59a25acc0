"""Lists that come by pages."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import pytest

from proctor.core.errors import PermanentError, TransientError
from proctor.core.names import Repo, RepoType
from proctor.hub import HuggingFaceHub
from proctor.hub.wire import MOST_PAGES

if TYPE_CHECKING:
    from tests.hub.conftest import Answer, Stub


def _page(stub: Stub, start: int, count: int, following: str | None) -> Answer:
    items = [
        {"_id": f"{n:024x}", "id": f"acme/m{n}", "private": False, "sha": stub.sha}
        for n in range(start, start + count)
    ]
    if following is None:
        return stub.told(items)
    return stub.told(items, Link=f'<{following}>; rel="next"')


def test_pages_are_read_as_they_are_needed_and_each_is_tried_again(
    stub: Stub, hub: HuggingFaceHub
) -> None:
    stub.on("GET", "/api/models", _page(stub, 0, 3, f"{stub.url}/api/models/page2?cursor=x"))
    stub.on("GET", "/api/models/page2", stub.told({}, 503), _page(stub, 3, 2, "/api/page3"))
    stub.on("GET", "/api/page3", _page(stub, 5, 1, None))
    first = list(islice(hub.heads("acme", RepoType.MODEL), 3))
    assert [repo.name for repo, _ in first] == ["acme/m0", "acme/m1", "acme/m2"]
    assert stub.asked("GET", "/api/models/page2") == []
    every = list(hub.heads("acme", RepoType.MODEL))
    assert len(every) == 6
    assert len(stub.asked("GET", "/api/models/page2")) == 2


@pytest.mark.parametrize(("items", "asked"), [(0, 1), (1, MOST_PAGES)])
def test_a_list_that_never_ends_is_given_up(
    stub: Stub, hub: HuggingFaceHub, items: int, asked: int
) -> None:
    stub.on("GET", "/api/models", _page(stub, 0, items, "/api/models?cursor=again"))
    with pytest.raises(PermanentError, match="without end"):
        list(hub.heads("acme", RepoType.MODEL))
    assert len(stub.asked("GET", "/api/models")) == asked


def test_history_stops_at_its_limit(stub: Stub, hub: HuggingFaceHub, repo: Repo) -> None:
    commits = [
        {"id": f"{n:040x}", "title": f"t{n}", "authors": [], "date": "2026-01-02T03:04:05.000Z"}
        for n in range(3)
    ]
    path = f"/api/models/acme/bot/commits/{stub.sha}"
    stub.on("GET", path, stub.told(commits, Link='</api/more>; rel="next"'))
    assert [c.title for c in hub.history(repo, stub.sha, limit=3)] == ["t0", "t1", "t2"]
    assert stub.asked("GET", "/api/more") == []


def test_the_token_does_not_follow_a_list_to_another_host(stub: Stub, hub: HuggingFaceHub) -> None:
    elsewhere = stub.url.replace("127.0.0.1", "localhost")
    stub.on("GET", "/api/models", _page(stub, 0, 1, f"{elsewhere}/api/stolen"))
    with pytest.raises(PermanentError):
        list(hub.heads("acme", RepoType.MODEL))
    assert stub.asked("GET", "/api/stolen") == []


def test_a_long_list_of_files_is_read_from_the_tree(
    stub: Stub, hub: HuggingFaceHub, repo: Repo
) -> None:
    siblings = [{"rfilename": f"{n}.txt", "size": 1, "blobId": "b" * 40} for n in range(1000)]
    told = {"_id": repo.hub_id, "id": repo.name, "sha": stub.sha, "siblings": siblings}
    stub.on("GET", f"/api/models/acme/bot/revision/{stub.sha}", stub.told(told))
    tree = f"/api/models/acme/bot/tree/{stub.sha}"
    lfs = {"oid": "c" * 64, "size": 5000, "pointerSize": 130}
    stub.on(
        "GET",
        tree,
        stub.told(
            [{"type": "directory", "oid": "d" * 40, "path": "sub"}], Link='</api/tree2>; rel="next"'
        ),
    )
    stub.on(
        "GET",
        "/api/tree2",
        stub.told(
            [{"type": "file", "oid": "e" * 40, "size": 5000, "path": "sub/m.bin", "lfs": lfs}]
        ),
    )
    [file] = hub.describe(repo, stub.sha).files
    assert (file.path, file.size, file.oid, file.sha256) == ("sub/m.bin", 5000, "e" * 40, "c" * 64)


def test_a_page_for_people_in_the_place_of_a_list_passes(stub: Stub, hub: HuggingFaceHub) -> None:
    page = stub.answer(200, b"<html>Please log in</html>")
    stub.on("GET", "/api/models", page, _page(stub, 0, 1, None))
    assert len(list(hub.heads("acme", RepoType.MODEL))) == 1
    stub.on("GET", "/api/models", page)
    with pytest.raises(TransientError, match="not JSON"):
        list(hub.heads("acme", RepoType.MODEL))
