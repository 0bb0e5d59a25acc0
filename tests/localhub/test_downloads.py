from pathlib import Path

import httpx2
import pytest
from huggingface_hub import CommitOperationAdd, HfApi
from huggingface_hub.errors import EntryNotFoundError, RevisionNotFoundError

from proctor.localhub import LocalHub

WEIGHTS = bytes(range(256)) * 40


@pytest.fixture
def filled(ana: HfApi, repo: str) -> str:
    ana.create_commit(
        repo,
        [
            CommitOperationAdd("model.safetensors", WEIGHTS),
            CommitOperationAdd("a b/ü%2F.txt", b"text"),
            CommitOperationAdd("page.html", b"<script>alert(1)</script>"),
        ],
        commit_message="files",
    )
    return repo


def test_heads_tell_what_the_client_needs(ana: HfApi, filled: str, http: httpx2.Client) -> None:
    sha = ana.model_info(filled).sha
    small = http.head(f"/{filled}/resolve/main/page.html")
    assert small.status_code == 200
    assert small.headers["x-repo-commit"] == sha
    assert small.headers["content-length"] == "25"
    assert len(small.headers["etag"].strip('"')) == 40
    assert small.headers["content-type"].startswith("text/plain")

    large = http.head(f"/{filled}/resolve/main/model.safetensors")
    assert large.status_code == 302
    assert large.headers["x-repo-commit"] == sha
    assert large.headers["x-linked-size"] == str(len(WEIGHTS))
    assert len(large.headers["x-linked-etag"].strip('"')) == 64
    assert not [name for name in large.headers if "xet" in name.lower()]


def test_large_files_come_from_another_origin_without_a_token(
    ana: HfApi, filled: str, hub: LocalHub, http: httpx2.Client
) -> None:
    ana.update_repo_settings(filled, private=True)
    path = f"/{filled}/resolve/main/model.safetensors"
    link = http.get(path, headers={"Authorization": f"Bearer {ana.token}"}).headers["location"]
    assert link.startswith(hub.cdn_url) and not link.startswith(hub.url)
    assert http.get(link).content == WEIGHTS
    part = http.get(link, headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, WEIGHTS[10:20])
    assert part.headers["content-range"] == f"bytes 10-19/{len(WEIGHTS)}"
    assert http.get(link, headers={"Range": "bytes=999999-"}).status_code == 416
    assert http.get(link[:-1] + ("0" if link[-1] != "0" else "1")).status_code == 403
    assert http.get(link.split("?")[0]).status_code == 403


def test_small_files_take_ranges_too(filled: str, http: httpx2.Client) -> None:
    answer = http.get(f"/{filled}/resolve/main/page.html", headers={"Range": "bytes=0-7"})
    assert (answer.status_code, answer.content) == (206, b"<script>")


def test_downloads(ana: HfApi, filled: str, cache: Path) -> None:
    path = ana.hf_hub_download(filled, "a b/ü%2F.txt", cache_dir=cache)
    assert Path(path).read_bytes() == b"text"
    folder = Path(ana.snapshot_download(filled, cache_dir=cache))
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    assert folder.name == ana.model_info(filled).sha
    ana.update_repo_settings(filled, private=True)
    again = Path(ana.snapshot_download(filled, local_dir=cache / "local"))
    assert (again / "model.safetensors").read_bytes() == WEIGHTS


def test_what_is_not_there(ana: HfApi, filled: str, cache: Path) -> None:
    with pytest.raises(EntryNotFoundError):
        ana.hf_hub_download(filled, "missing.bin", cache_dir=cache)
    with pytest.raises(RevisionNotFoundError):
        ana.hf_hub_download(filled, "page.html", revision="nowhere", cache_dir=cache)
    assert ana.file_exists(filled, "page.html")
    assert not ana.file_exists(filled, "missing.bin")
    assert not ana.revision_exists(filled, "0" * 40)
    assert not ana.repo_exists("acme/missing")


def test_each_type_has_its_own_downloads(ana: HfApi, cache: Path) -> None:
    for kind in ("dataset", "space"):
        sdk = "static" if kind == "space" else None
        ana.create_repo("acme/down", repo_type=kind, space_sdk=sdk)
        ana.upload_file(
            path_or_fileobj=kind.encode(), path_in_repo="t.txt", repo_id="acme/down", repo_type=kind
        )
        path = ana.hf_hub_download("acme/down", "t.txt", repo_type=kind, cache_dir=cache)
        assert Path(path).read_text() == kind


def test_an_older_revision_keeps_its_files(ana: HfApi, repo: str, cache: Path) -> None:
    old = ana.upload_file(path_or_fileobj=b"old", path_in_repo="w.bin", repo_id=repo)
    ana.upload_file(path_or_fileobj=b"new", path_in_repo="w.bin", repo_id=repo)
    for revision, text in [(old.oid, "old"), ("main", "new"), ("refs/heads/main", "new")]:
        path = ana.hf_hub_download(repo, "w.bin", revision=revision, cache_dir=cache)
        assert Path(path).read_text() == text
