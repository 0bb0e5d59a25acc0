import hashlib
import io
import subprocess
import time
from pathlib import Path

import httpx2
import pytest
from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationCopy,
    CommitOperationDelete,
    HfApi,
    constants,
)
from huggingface_hub.errors import (
    BadRequestError,
    EntryNotFoundError,
    HfHubHTTPError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import RepoFile, RepoFolder

from proctor.localhub import LocalHub


def add(path: str, content: bytes = b"x") -> CommitOperationAdd:
    return CommitOperationAdd(path, content)


def test_commits_add_replace_and_delete(ana: HfApi, repo: str) -> None:
    first = ana.create_commit(
        repo,
        [add("a.txt"), add("dir/b.txt"), add("dir/deep/c.txt")],
        commit_message="first",
        commit_description="with words",
    )
    second = ana.create_commit(
        repo,
        [
            add("a.txt", b"changed"),
            CommitOperationDelete("dir/b.txt"),
            CommitOperationDelete("dir/deep/", is_folder=True),
        ],
        commit_message="second",
    )
    assert ana.list_repo_files(repo) == [".gitattributes", "a.txt"]
    assert ana.list_repo_files(repo, revision=first.oid) == [
        ".gitattributes",
        "a.txt",
        "dir/b.txt",
        "dir/deep/c.txt",
    ]
    log = ana.list_repo_commits(repo, formatted=True)
    assert [commit.commit_id for commit in log][:2] == [second.oid, first.oid]
    assert [commit.title for commit in log] == ["second", "first", "initial commit"]
    assert (log[1].message, log[1].authors) == ("with words", ["ana"])
    assert ana.list_repo_commits(repo, revision=first.oid)[0].title == "first"


def test_deleting_what_is_not_there(ana: HfApi, repo: str) -> None:
    with pytest.raises(EntryNotFoundError):
        ana.delete_file("nothing.txt", repo)
    with pytest.raises(EntryNotFoundError):
        ana.delete_folder("nowhere", repo)


def test_a_stale_parent_is_refused(ana: HfApi, repo: str) -> None:
    parent = ana.model_info(repo).sha
    ana.create_commit(repo, [add("a")], commit_message="one", parent_commit=parent)
    with pytest.raises(HfHubHTTPError) as error:
        ana.create_commit(repo, [add("b")], commit_message="two", parent_commit=parent)
    assert error.value.response.status_code == 412


def test_what_is_unchanged_is_not_sent_again(ana: HfApi, repo: str) -> None:
    content = [add("same.txt", b"same"), add("same.safetensors", b"weights")]
    first = ana.create_commit(repo, content, commit_message="once")
    again = [add("same.txt", b"same"), add("same.safetensors", b"weights")]
    assert ana.create_commit(repo, again, commit_message="twice").oid == first.oid


def test_commits_go_to_branches_not_to_tags_or_nowhere(ana: HfApi, repo: str) -> None:
    ana.create_branch(repo, branch="feat/x")
    ana.create_tag(repo, tag="v1")
    commit = ana.create_commit(repo, [add("b")], commit_message="b", revision="feat/x")
    refs = {ref.name: ref.target_commit for ref in ana.list_repo_refs(repo).branches}
    assert refs["feat/x"] == commit.oid != refs["main"]
    for revision in ("v1", "nowhere", commit.oid):
        with pytest.raises(RevisionNotFoundError):
            ana.create_commit(repo, [add("c")], commit_message="c", revision=revision)


def test_copies_inside_a_repository(ana: HfApi, repo: str) -> None:
    ana.create_commit(
        repo, [add("a.txt", b"text"), add("a.safetensors", b"weights")], commit_message="a"
    )
    ana.create_commit(
        repo,
        [
            CommitOperationCopy("a.txt", "b.txt"),
            CommitOperationCopy("a.safetensors", "b.safetensors"),
        ],
        commit_message="copy",
    )
    old, new = (
        ana.get_paths_info(repo, [f"{name}.txt", f"{name}.safetensors"]) for name in ("a", "b")
    )
    assert [f.blob_id for f in old if isinstance(f, RepoFile)] == [
        f.blob_id for f in new if isinstance(f, RepoFile)
    ]


# The client's own way of sending a file is deprecated in the HTTP library that it uses.
@pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
def test_large_files_go_by_lfs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a client without Xet does: preupload, batch, PUT, commit."""
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    content = bytes(range(256)) * 4_000
    with LocalHub(tmp_path, inline_limit=1_000) as hub:
        api = HfApi(endpoint=hub.url, token=hub.create_user("ana", orgs=["acme"]))
        api.create_repo("acme/big")
        puts = hub.faults.add("/_lfs/", "503", method="PUT", times=1)
        api.upload_file(
            path_or_fileobj=content, path_in_repo="model.safetensors", repo_id="acme/big"
        )
        # The client tries again what storage refused once.
        assert hub.faults.rules()[0].id == puts.id and hub.faults.rules()[0].hits == 1
        info = api.get_paths_info("acme/big", ["model.safetensors"])[0]
        assert isinstance(info, RepoFile) and info.lfs is not None
        assert info.lfs.sha256 == hashlib.sha256(content).hexdigest()
        path = api.hf_hub_download("acme/big", "model.safetensors", cache_dir=tmp_path / "cache")
        assert Path(path).read_bytes() == content
        # Known content is not uploaded twice.
        hub.faults.add("/_lfs/", "500", method="PUT", times=99)
        again = CommitOperationAdd("copy.safetensors", io.BytesIO(content))
        api.create_commit("acme/big", [again], commit_message="copy")
        assert "copy.safetensors" in api.list_repo_files("acme/big")


def test_an_upload_must_be_what_was_announced(
    ana: HfApi, repo: str, hub: LocalHub, http: httpx2.Client
) -> None:
    token = {"Authorization": f"Bearer {ana.token}"}
    oid = hashlib.sha256(b"right").hexdigest()
    batch = {"operation": "upload", "objects": [{"oid": oid, "size": 5}]}
    answer = http.post(f"/{repo}.git/info/lfs/objects/batch", json=batch, headers=token)
    link = answer.json()["objects"][0]["actions"]["upload"]["href"]
    assert link.startswith(hub.cdn_url)
    for wrong in (b"wrong", b"longer than that", b"sho"):
        assert http.put(link, content=wrong).status_code == 400
    assert http.put(link.replace(oid, "0" * 64), content=b"right").status_code == 403
    line = b'{"key":"header","value":{"summary":"s"}}\n{"key":"lfsFile","value":'
    line += b'{"path":"w.bin","algo":"sha256","oid":"%s","size":5}}' % oid.encode()
    commit = f"/api/models/{repo}/commit/main"
    assert http.post(commit, content=line, headers=token).status_code == 400
    assert http.put(link, content=b"right").status_code == 200
    assert http.post(commit, content=line, headers=token).status_code == 200
    batch["objects"] = [{"oid": oid, "size": 5}]
    answer = http.post(f"/{repo}.git/info/lfs/objects/batch", json=batch, headers=token)
    assert "actions" not in answer.json()["objects"][0]


def test_a_hash_is_no_key_to_another_repository(ana: HfApi, bob: HfApi, repo: str) -> None:
    ana.update_repo_settings(repo, private=True)
    ana.upload_file(path_or_fileobj=b"secret", path_in_repo="w.bin", repo_id=repo)
    oid = hashlib.sha256(b"secret").hexdigest()
    bob.create_repo("bob/thief", exist_ok=True)
    lines = (
        b'{"key":"header","value":{"summary":"s"}}\n{"key":"lfsFile","value":'
        b'{"path":"w.bin","algo":"sha256","oid":"%s","size":6}}' % oid.encode()
    )
    answer = httpx2.post(
        f"{bob.endpoint}/api/models/bob/thief/commit/main",
        content=lines,
        headers={"Authorization": f"Bearer {bob.token}"},
    )
    assert answer.status_code == 400


def test_trees_and_paths(ana: HfApi, repo: str) -> None:
    ana.create_commit(repo, [add("a/b/c.txt"), add("a/d.txt"), add("e.bin")], commit_message="one")
    ana.create_commit(repo, [add("a/d.txt", b"new")], commit_message="two")
    top = {item.path: item for item in ana.list_repo_tree(repo)}
    assert set(top) == {".gitattributes", "a", "e.bin"}
    assert isinstance(top["a"], RepoFolder) and len(top["a"].tree_id) == 40
    assert [item.path for item in ana.list_repo_tree(repo, "a", recursive=True)] == [
        "a/b",
        "a/b/c.txt",
        "a/d.txt",
    ]
    with pytest.raises(EntryNotFoundError):
        list(ana.list_repo_tree(repo, "nowhere"))

    told = ana.get_paths_info(repo, ["a", "a/d.txt", "a/b/c.txt", "missing"], expand=True)
    assert [item.path for item in told] == ["a", "a/d.txt", "a/b/c.txt"]
    assert [item.last_commit.title for item in told if item.last_commit] == ["two", "two", "one"]


def test_large_trees_come_in_pages(ana: HfApi, repo: str) -> None:
    ana.create_commit(
        repo, [add(f"f{number:04}", b"same") for number in range(1_100)], commit_message="many"
    )
    assert len(list(ana.list_repo_tree(repo))) == 1_101
    assert len(list(ana.list_repo_tree(repo, expand=True))) == 1_101


def test_long_histories_come_in_pages(ana: HfApi, repo: str) -> None:
    for number in range(52):
        ana.create_commit(repo, [add("n", str(number).encode())], commit_message=str(number))
    assert len(ana.list_repo_commits(repo)) == 53


def test_ids_are_those_of_git(ana: HfApi, repo: str, tmp_path: Path) -> None:
    """The root tree has the id that git itself gives it."""
    files = {"a.txt": b"a", "a/x.txt": b"x", "a.b/y.txt": b"y", "z/deep/er.txt": b"z"}
    ana.create_commit(
        repo, [add(f"root/{name}", text) for name, text in files.items()], commit_message="files"
    )
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(text)

    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], cwd=tmp_path, capture_output=True, check=True)
        return done.stdout.decode().strip()

    git("init", "-q")
    git("add", "-f", ".")
    (folder,) = (item for item in ana.list_repo_tree(repo) if item.path == "root")
    assert isinstance(folder, RepoFolder) and folder.tree_id == git("write-tree")


def test_the_same_content_committed_twice_is_two_commits(
    ana: HfApi, repo: str, http: httpx2.Client
) -> None:
    lines = (
        b'{"key":"header","value":{"summary":"s"}}\n'
        b'{"key":"file","value":{"path":"a","content":"a"}}'
    )
    token = {"Authorization": f"Bearer {ana.token}"}
    url = f"/api/models/{repo}/commit/main"
    answers = []
    for _ in range(2):
        answers.append(http.post(url, content=lines, headers=token).json()["commitOid"])
        time.sleep(0.002)
    assert len(set(answers)) == 2


def test_a_file_cannot_be_a_folder(ana: HfApi, repo: str) -> None:
    ana.create_commit(repo, [add("a")], commit_message="file")
    with pytest.raises(BadRequestError):
        ana.create_commit(repo, [add("a/b")], commit_message="folder")


def test_folders_upload_with_the_default_client(ana: HfApi, repo: str, tmp_path: Path) -> None:
    """With hf_xet installed the client would use Xet for what we call large: it must not."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "model.safetensors").write_bytes(b"w" * 5_000)
    (tmp_path / "config.json").write_bytes(b"{}")
    ana.upload_folder(repo_id=repo, folder_path=tmp_path)
    assert set(ana.list_repo_files(repo)) == {
        ".gitattributes",
        "config.json",
        "sub/model.safetensors",
    }
    ana.super_squash_history(repo)
    assert len(ana.list_repo_commits(repo)) == 1
