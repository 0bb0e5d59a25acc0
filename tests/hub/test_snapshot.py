"""Snapshots: exactly what is listed, or an error."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from huggingface_hub import hf_hub_download

from proctor.core.errors import (
    Cancelled,
    PermanentError,
    ProctorError,
    RevisionGone,
    TransientError,
)
from proctor.core.names import Repo, RepoType
from proctor.hub import HuggingFaceHub

if TYPE_CHECKING:
    from tests.hub.conftest import Answer, Stub

WEIGHTS = b"weights " * 1000


@pytest.fixture
def files(stub: Stub, repo: Repo) -> dict[str, bytes]:
    """What the repo holds at `stub.sha`."""
    held = {"config.json": b'{"a": 1}', "sub/model.safetensors": WEIGHTS}
    siblings = [
        {"rfilename": "config.json", "size": 8, "blobId": _oid(held["config.json"])},
        {
            "rfilename": "sub/model.safetensors",
            "size": len(WEIGHTS),
            "blobId": "f" * 40,
            "lfs": {"sha256": _sha256(WEIGHTS), "size": len(WEIGHTS), "pointerSize": 130},
        },
    ]
    told = {"_id": repo.hub_id, "id": repo.name, "sha": stub.sha, "siblings": siblings}
    stub.on("GET", f"/api/models/acme/bot/revision/{stub.sha}", stub.told(told))
    for path, content in held.items():
        for method in ("HEAD", "GET"):
            stub.on(method, _resolve(stub, path), _file(stub, content))
    return held


def test_the_files_and_nothing_else(
    stub: Stub, hub: HuggingFaceHub, repo: Repo, files: dict[str, bytes], tmp_path: Path
) -> None:
    folder = hub.snapshot(repo, stub.sha, tmp_path)
    assert _contents(folder) == files
    assert not any(stub.token.encode() in c for c in _contents(tmp_path).values())


@pytest.mark.parametrize("stumble", ["truncated", "reset", "other content", "500"])
def test_a_file_that_comes_damaged_is_fetched_again(
    stub: Stub,
    hub: HuggingFaceHub,
    repo: Repo,
    files: dict[str, bytes],
    tmp_path: Path,
    stumble: str,
) -> None:
    path = _resolve(stub, "sub/model.safetensors")
    whole = _file(stub, WEIGHTS)
    damaged = {
        "truncated": stub.answer(200, WEIGHTS[:100], {**whole.headers, "Connection": "close"}),
        "reset": stub.answer(200, WEIGHTS, whole.headers, reset=True, before="middle"),
        "other content": stub.answer(200, WEIGHTS.upper(), whole.headers),
        "500": stub.told({}, 500),
    }[stumble]
    stub.on("GET", path, damaged, whole)
    assert _contents(hub.snapshot(repo, stub.sha, tmp_path)) == files
    assert len(stub.asked("GET", path)) == 2


def test_a_file_that_stops_coming_is_fetched_again(
    stub: Stub,
    connect: Callable[..., HuggingFaceHub],
    repo: Repo,
    files: dict[str, bytes],
    tmp_path: Path,
) -> None:
    path = _resolve(stub, "sub/model.safetensors")
    whole = _file(stub, WEIGHTS)
    halted = stub.answer(200, WEIGHTS, whole.headers, hang=20, before="middle")
    stub.on("GET", path, halted, whole)
    # On a busy machine the whole file may be late as well, and be asked for once more.
    hub = connect(read=0.5, attempts=20)
    assert _contents(hub.snapshot(repo, stub.sha, tmp_path)) == files
    assert len(stub.asked("GET", path)) >= 2


@pytest.mark.parametrize("path", ["config.json", "sub/model.safetensors"])
def test_a_file_that_is_not_the_listed_one_never_gets_in(
    stub: Stub,
    hub: HuggingFaceHub,
    repo: Repo,
    files: dict[str, bytes],
    tmp_path: Path,
    path: str,
) -> None:
    other = bytes(reversed(files[path]))
    for method in ("HEAD", "GET"):
        stub.on(method, _resolve(stub, path), _file(stub, other))
    with pytest.raises(TransientError, match="damaged"):
        hub.snapshot(repo, stub.sha, tmp_path)
    assert not (tmp_path / repo.hub_id).exists()


def test_no_fallback_to_what_a_cache_holds(
    stub: Stub,
    hub: HuggingFaceHub,
    repo: Repo,
    files: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cache = tmp_path / "cache"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    for path in files:
        hf_hub_download(repo.name, path, revision=stub.sha, endpoint=stub.url, token=False)
        for method in ("HEAD", "GET"):
            stub.on(method, _resolve(stub, path), stub.told({}, 500))
    assert any(cache.rglob("config.json"))
    with pytest.raises(TransientError):
        hub.snapshot(repo, stub.sha, tmp_path / "snapshots")
    stub.on("GET", f"/api/models/acme/bot/revision/{stub.sha}", stub.told({}, 500))
    with pytest.raises(TransientError):
        hub.snapshot(repo, stub.sha, tmp_path / "snapshots")


def test_refusals_keep_their_meaning(
    stub: Stub, hub: HuggingFaceHub, repo: Repo, files: dict[str, bytes], tmp_path: Path
) -> None:
    path = _resolve(stub, "config.json")
    stub.on("HEAD", path, stub.told({}, 404, X_Error_Code="RevisionNotFound"))
    with pytest.raises(RevisionGone):
        hub.snapshot(repo, stub.sha, tmp_path)
    for status in (403, 400, 404):
        stub.on("HEAD", path, stub.told({}, status))
        with pytest.raises(PermanentError):
            hub.snapshot(repo, stub.sha, tmp_path)
    stub.on("HEAD", path, stub.told({}, 429, Retry_After="300"))
    with pytest.raises(TransientError) as raised:
        hub.snapshot(repo, stub.sha, tmp_path)
    # A second file may have been asked for a moment later, and not been sent at all.
    assert raised.value.delay == pytest.approx(300, abs=20)


@pytest.mark.parametrize(
    "path",
    [
        "../outside.txt",
        "/etc/outside.txt",
        "sub/../../outside.txt",
        "a//b",
        "./a",
        "..\\outside.txt",
        "a\x00b",
        ".cache/huggingface/download/config.json.metadata",
        "",
    ],
)
def test_paths_that_leave_the_folder_are_refused(
    stub: Stub, hub: HuggingFaceHub, repo: Repo, tmp_path: Path, path: str
) -> None:
    siblings = [{"rfilename": path, "size": 1, "blobId": _oid(b"a")}]
    told = {"_id": repo.hub_id, "id": repo.name, "sha": stub.sha, "siblings": siblings}
    stub.on("GET", f"/api/models/acme/bot/revision/{stub.sha}", stub.told(told))
    with pytest.raises(PermanentError):
        hub.snapshot(repo, stub.sha, tmp_path / "into")
    assert not (tmp_path / "outside.txt").exists()


def test_an_id_that_is_a_path_is_refused(stub: Stub, hub: HuggingFaceHub, tmp_path: Path) -> None:
    repo = Repo("../../evil", RepoType.MODEL, "acme/bot")
    told = {"_id": repo.hub_id, "id": repo.name, "sha": stub.sha, "siblings": []}
    stub.on("GET", f"/api/models/acme/bot/revision/{stub.sha}", stub.told(told))
    with pytest.raises(PermanentError):
        hub.snapshot(repo, stub.sha, tmp_path / "deep" / "down")


def test_an_intact_folder_is_used_again_and_a_damaged_one_mended(
    stub: Stub, hub: HuggingFaceHub, repo: Repo, files: dict[str, bytes], tmp_path: Path
) -> None:
    folder = hub.snapshot(repo, stub.sha, tmp_path)
    config, weights = (_resolve(stub, path) for path in files)
    assert hub.snapshot(repo, stub.sha, tmp_path) == folder
    assert len(stub.asked("GET", config)) == len(stub.asked("GET", weights)) == 1
    (folder / "config.json").write_bytes(b'{"a": 2}')
    (folder / "stray.py").write_bytes(b"import os")
    assert _contents(hub.snapshot(repo, stub.sha, tmp_path)) == files
    assert len(stub.asked("GET", config)) == 2
    assert len(stub.asked("GET", weights)) == 1


def test_what_a_failed_try_left_is_used_by_the_next(
    stub: Stub, hub: HuggingFaceHub, repo: Repo, files: dict[str, bytes], tmp_path: Path
) -> None:
    config, weights = (_resolve(stub, path) for path in files)
    stub.on("GET", config, stub.told({}, 400))
    # The weights' answer is slow enough for the refusal to come in first in most runs, and
    # either order has to end well.
    with pytest.raises(ProctorError):
        hub.snapshot(repo, stub.sha, tmp_path)
    stub.on("GET", config, _file(stub, files["config.json"]))
    assert _contents(hub.snapshot(repo, stub.sha, tmp_path)) == files
    assert len(stub.asked("GET", weights)) <= 2


def test_what_a_cancelled_try_left_is_used_by_the_next(
    stub: Stub,
    connect: Callable[..., HuggingFaceHub],
    repo: Repo,
    files: dict[str, bytes],
    tmp_path: Path,
) -> None:
    hub = connect(read=20, answer=60)
    config, weights = (_resolve(stub, path) for path in files)
    whole = _file(stub, WEIGHTS)
    stub.on("GET", weights, stub.answer(200, WEIGHTS, whole.headers, hang=20, before="middle"))

    def stopped() -> bool:
        return bool(stub.asked("GET", weights)) and any(tmp_path.rglob("config.json"))

    began = time.monotonic()
    with pytest.raises(Cancelled):
        hub.snapshot(repo, stub.sha, tmp_path, stopped)
    assert time.monotonic() - began < 19  # the next byte would be waited for for 20
    stub.on("GET", weights, whole)
    assert _contents(hub.snapshot(repo, stub.sha, tmp_path)) == files
    assert len(stub.asked("GET", config)) == 1


def test_many_at_once_download_once(
    stub: Stub, hub: HuggingFaceHub, repo: Repo, files: dict[str, bytes], tmp_path: Path
) -> None:
    with ThreadPoolExecutor(6) as pool:
        folders = list(pool.map(lambda _: hub.snapshot(repo, stub.sha, tmp_path), range(6)))
    assert len(set(folders)) == 1
    assert _contents(folders[0]) == files
    assert len(stub.asked("GET", _resolve(stub, "sub/model.safetensors"))) == 1


def test_the_token_stays_on_the_hub(
    stub: Stub,
    hub: HuggingFaceHub,
    repo: Repo,
    files: dict[str, bytes],
    tmp_path: Path,
    other_host: Stub,
) -> None:
    path = _resolve(stub, "sub/model.safetensors")
    linked = {
        "Location": f"{other_host.url}/bucket/weights?signature=abc",
        "X-Linked-Etag": f'"{_sha256(WEIGHTS)}"',
        "X-Linked-Size": str(len(WEIGHTS)),
        "X-Repo-Commit": stub.sha,
    }
    stub.on("HEAD", path, stub.answer(302, b"", linked))
    stub.on("GET", path, stub.answer(302, b"", linked))
    other_host.on("GET", "/bucket/weights", stub.answer(200, WEIGHTS))
    assert _contents(hub.snapshot(repo, stub.sha, tmp_path)) == files
    [seen] = other_host.seen
    assert "authorization" not in seen.headers


def test_an_empty_repo_is_an_empty_folder(
    stub: Stub, hub: HuggingFaceHub, repo: Repo, tmp_path: Path
) -> None:
    told = {"_id": repo.hub_id, "id": repo.name, "sha": stub.sha, "siblings": []}
    stub.on("GET", f"/api/models/acme/bot/revision/{stub.sha}", stub.told(told))
    assert _contents(hub.snapshot(repo, stub.sha, tmp_path)) == {}


def test_a_place_that_cannot_be_written_is_an_error_of_ours(
    stub: Stub, hub: HuggingFaceHub, repo: Repo, files: dict[str, bytes], tmp_path: Path
) -> None:
    (tmp_path / "into").write_bytes(b"a file where a folder should be")
    with pytest.raises(ProctorError):
        hub.snapshot(repo, stub.sha, tmp_path / "into")


@pytest.fixture
def other_host(stub: Stub) -> Iterator[Stub]:
    """A second server, another origin."""
    server = type(stub)()
    yield server
    server.close()


def _resolve(stub: Stub, path: str) -> str:
    return f"/acme/bot/resolve/{stub.sha}/{path}"


def _file(stub: Stub, content: bytes) -> Answer:
    headers = {"ETag": f'"{_oid(content)}"', "X-Repo-Commit": stub.sha}
    return stub.answer(200, content, {**headers, "Content-Length": str(len(content))})


def _contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def _oid(content: bytes) -> str:
    blob = b"blob %d\0" % len(content) + content
    return hashlib.sha1(blob, usedforsecurity=False).hexdigest()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
