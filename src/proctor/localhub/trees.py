"""The files of a revision, stored as flat listings under the git id of their root tree."""

import json
from collections.abc import Mapping

from proctor.localhub.gitids import Entry, folder_ids
from proctor.localhub.refusal import bad_request
from proctor.localhub.store import Db

Tree = Mapping[str, Entry]


def save(db: Db, tree: Tree) -> str:
    """Store a listing and return the git id of its root tree."""
    _no_file_as_folder(tree)
    tree_id = folder_ids(tree)[""]
    rows = [[e.path, e.size, e.oid, e.sha256, e.lfs] for _, e in sorted(tree.items())]
    db.execute(
        "INSERT OR IGNORE INTO trees (id, entries) VALUES (?, ?)", (tree_id, json.dumps(rows))
    )
    return tree_id


def load(db: Db, tree_id: str) -> dict[str, Entry]:
    row = db.execute("SELECT entries FROM trees WHERE id = ?", (tree_id,)).fetchone()
    return {fields[0]: Entry(*fields) for fields in json.loads(row["entries"])}


def _no_file_as_folder(tree: Tree) -> None:
    for path in tree:
        parent = path.rpartition("/")[0]
        while parent:
            if parent in tree:
                raise bad_request(f"{parent} cannot be a file and a folder at once")
            parent = parent.rpartition("/")[0]


def below(tree: Tree, folder: str, *, recursive: bool) -> list[str] | None:
    """Names of files and folders under ``folder`` ("" is the root), sorted; None if it is none.

    Folders have a trailing slash.
    """
    prefix = f"{folder}/" if folder else ""
    found: set[str] = set()
    for path in tree:
        if not path.startswith(prefix):
            continue
        parts = path[len(prefix) :].split("/")
        depth = len(parts) if recursive else 1
        for count in range(1, min(depth, len(parts) - 1) + 1):
            found.add(prefix + "/".join(parts[:count]) + "/")
        if depth >= len(parts):
            found.add(path)
    if not found and folder:
        return None
    return sorted(found)
