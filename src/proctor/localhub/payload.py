"""The body of a commit, line by line, and its effect on a tree.

Lines: ``huggingface_hub._commit_api._prepare_commit_payload``; newline-delimited JSON.
"""

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import IO, Any

from proctor.localhub import blobs, names, storage, wire
from proctor.localhub.blobs import Blob, Blobs
from proctor.localhub.gitids import Entry, git_object, lfs_pointer
from proctor.localhub.refusal import bad_request, entry_not_found
from proctor.localhub.store import Db

_MAX_OPERATIONS = 25_000
_MAX_LINE = 512 * 2**20
_MAX_TITLE = 1_000


@dataclass(frozen=True)
class Header:
    title: str
    message: str
    parent: str | None


@dataclass(frozen=True)
class Add:
    """A file with its content sent along."""

    path: str
    blob: Blob


@dataclass(frozen=True)
class AddLfs:
    """A file whose content was uploaded before, or is in the repository already."""

    path: str
    sha256: str


@dataclass(frozen=True)
class Remove:
    path: str
    folder: bool


Operation = Add | AddLfs | Remove


def read(body: IO[bytes], store: Blobs) -> tuple[Header, list[Operation]]:
    """The header and the operations; contents are on disk when this returns. 400 on nonsense."""
    header: Header | None = None
    operations: list[Operation] = []
    while line := body.readline(_MAX_LINE + 1):
        if len(line) > _MAX_LINE:
            raise bad_request("One line of the commit is too long: upload that file by LFS")
        if not line.strip():
            continue
        key, value = _line(line)
        if key == "header":
            header = _header(value)
        else:
            operations.append(_operation(key, value, store))
        if len(operations) > _MAX_OPERATIONS:
            raise bad_request(f"A commit takes at most {_MAX_OPERATIONS} operations")
    if header is None:
        raise bad_request("The commit has no header")
    return header, operations


def _line(line: bytes) -> tuple[str, Mapping[str, Any]]:
    try:
        loaded = wire.parse(line)
    except ValueError:
        loaded = None
    key, value = (loaded.get("key"), loaded.get("value")) if isinstance(loaded, dict) else (0, 0)
    if not isinstance(key, str) or not isinstance(value, dict):
        raise bad_request("A line of the commit is not {key, value} in JSON")
    return key, value


def _header(value: Mapping[str, Any]) -> Header:
    title, message = value.get("summary"), value.get("description") or ""
    parent = value.get("parentCommit")
    if not isinstance(title, str) or not title.strip() or len(title) > _MAX_TITLE:
        raise bad_request("The commit needs a summary")
    if not isinstance(message, str):
        raise bad_request("The commit's description is not a text")
    if parent is not None and (not isinstance(parent, str) or not names.is_sha(parent)):
        raise bad_request("parentCommit is not a full commit id")
    return Header(title.strip(), message, parent)


def _operation(key: str, value: Mapping[str, Any], store: Blobs) -> Operation:
    path = value.get("path")
    if not isinstance(path, str):
        raise bad_request("An operation of the commit has no path")
    if key == "deletedFolder":
        return Remove(names.file_path(path.rstrip("/")), folder=True)
    names.file_path(path)
    if key == "file":
        return Add(path, store.put(_content(value)))
    if key == "lfsFile":
        sha256 = str(value.get("oid"))
        if value.get("algo", "sha256") != "sha256":
            raise bad_request("LFS files are named by their SHA-256")
        return AddLfs(path, sha256)
    if key == "deletedFile":
        return Remove(path, folder=False)
    raise bad_request(f"Unknown operation in the commit: {key[:50]!r}")


def _content(value: Mapping[str, Any]) -> bytes:
    content, encoding = value.get("content"), value.get("encoding", "utf-8")
    if not isinstance(content, str):
        raise bad_request("A file of the commit has no content")
    try:
        if encoding == "base64":
            return base64.b64decode(content, validate=True)
        return content.encode()
    except (binascii.Error, ValueError):
        raise bad_request("The content of a file is not what its encoding says") from None


def apply(
    db: Db, repo_id: str, tree: Mapping[str, Entry], operations: Iterable[Operation]
) -> dict[str, Entry]:
    """The tree after the operations, in their order."""
    result = dict(tree)
    for operation in operations:
        match operation:
            case Add(path, blob):
                blobs.link(db, repo_id, blob)
                result[path] = entry_of(path, blob, lfs=storage.is_large(path, blob.size))
            case AddLfs(path, sha256):
                found = blobs.linked(db, repo_id, sha256)
                if found is None:
                    raise bad_request(f"The LFS object of {path} was not uploaded")
                result[path] = entry_of(path, found, lfs=True)
            case Remove(path, folder=False):
                if result.pop(path, None) is None:
                    # The client looks for these words.
                    raise entry_not_found(f"A file with this name doesn't exist: {path}")
            case Remove(path):
                inside = [name for name in result if name.startswith(f"{path}/")]
                if not inside:
                    raise entry_not_found(f"A folder with this name doesn't exist: {path}")
                for name in inside:
                    del result[name]
    return result


def entry_of(path: str, blob: Blob, *, lfs: bool) -> Entry:
    oid = git_object("blob", lfs_pointer(blob.sha256, blob.size)) if lfs else blob.git_oid
    return Entry(path, blob.size, oid, blob.sha256, lfs)
