"""Files and folders as the Hub's tree and paths-info answers show them."""

from collections.abc import Iterable
from typing import Any

from proctor.localhub import commits, trees
from proctor.localhub.gitids import Entry, folder_ids, lfs_pointer
from proctor.localhub.moment import iso
from proctor.localhub.repos import Repo
from proctor.localhub.store import Db


def describe(
    db: Db, repo: Repo, sha: str, tree: trees.Tree, names: Iterable[str], *, expand: bool
) -> list[dict[str, Any]]:
    """The JSON of files and folders (trailing slash), as ``RepoFile``/``RepoFolder`` read it."""
    names = list(names)
    folders = folder_ids(tree)
    last = _last_commits(db, repo, sha, names) if expand else {}
    answers: list[dict[str, Any]] = []
    for name in names:
        answer: dict[str, Any]
        if name.endswith("/"):
            path = name.rstrip("/")
            answer = {"type": "directory", "oid": folders[path], "size": 0, "path": path}
        else:
            entry = tree[name]
            answer = {"type": "file", "oid": entry.oid, "size": entry.size, "path": name}
            if entry.lfs:
                answer["lfs"] = lfs_fields(entry) | {"oid": entry.sha256}
            if expand:
                answer["securityFileStatus"] = {
                    "status": "safe",
                    "avScan": None,
                    "pickleImportScan": None,
                }
        if name in last:
            answer["lastCommit"] = last[name]
        answers.append(answer)
    return answers


def lfs_fields(entry: Entry) -> dict[str, Any]:
    """Size and pointer size; the hash goes by another name in each answer."""
    return {"size": entry.size, "pointerSize": len(lfs_pointer(entry.sha256, entry.size))}


def _last_commits(db: Db, repo: Repo, sha: str, names: list[str]) -> dict[str, dict[str, Any]]:
    """The newest commit that changed each name: walk back while the name stays the same."""
    found: dict[str, dict[str, Any]] = {}
    wanted = set(names)
    for commit in commits.log(db, repo, sha):
        if not wanted:
            break
        mine = _ids(trees.load(db, commit.tree))
        before = (
            _ids(trees.load(db, commits.get(db, repo, commit.parent).tree)) if commit.parent else {}
        )
        for name in [name for name in wanted if mine.get(name) != before.get(name)]:
            wanted.discard(name)
            found[name] = {"id": commit.sha, "title": commit.title, "date": iso(commit.at)}
    return found


def _ids(tree: trees.Tree) -> dict[str, str]:
    ids = {path: entry.oid for path, entry in tree.items()}
    ids |= {f"{folder}/": oid for folder, oid in folder_ids(tree).items() if folder}
    return ids
