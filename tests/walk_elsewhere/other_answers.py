"""What the other Hub tells of its repos, as JSON.

Only what is documented is meant to be relied on: https://huggingface.co/docs/hub/api and the
sources of huggingface_hub. Whatever that leaves open is chosen unlike other servers do.
"""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

from ruamel.yaml import YAML
from tests.walk_elsewhere.other_repos import MAIN, Blob, Json, OtherCommit, OtherRepo, Refusal

_turns = itertools.count()


def stamp(at: float) -> str:
    """ISO 8601, in its several ways."""
    moment = datetime.datetime.fromtimestamp(at, datetime.UTC)
    match next(_turns) % 4:
        case 0:
            return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
        case 1:
            return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        case 2:
            return moment.isoformat(timespec="microseconds")
        case _:
            away = datetime.timezone(datetime.timedelta(hours=5, minutes=30))
            return moment.astimezone(away).isoformat(timespec="seconds")


def stranger(value: Json) -> Json:
    """The same with a field that nobody knows in every object, and keys the other way round.
    A card is its author's: it stays as it is."""
    if isinstance(value, dict):
        known = {
            key: inner if key == "cardData" else stranger(inner)
            for key, inner in reversed(value.items())
        }
        return {"_since": {"2027": [None, 1.5, "…"]}, **known, "zz": False}
    return [stranger(each) for each in value] if isinstance(value, list) else value


def card(commit: OtherCommit) -> dict[str, Any]:
    """The front matter of the README."""
    blob = commit.files.get("README.md")
    text = blob.content.decode() if blob else ""
    if not text.startswith("---\n"):
        return {}
    told = YAML(typ="safe").load(text.split("---\n")[1])
    return {
        key: f"{value}T00:00:00.000Z" if isinstance(value, datetime.date) else value
        for key, value in told.items()
    }


def expanded(repo: OtherRepo, asked: Sequence[str]) -> dict[str, Json]:
    """What was asked for and no more, but for the identity."""
    known = {"sha": repo.refs.get(MAIN), "private": repo.private, "likes": 3}
    if not set(asked) <= set(known):
        raise Refusal(400, "", f"one of {asked} is nothing that we could expand")
    return {"_id": repo.id, "id": repo.name, **{key: known[key] for key in asked}}


def details(repo: OtherRepo, revision: str, *, blobs: bool) -> dict[str, Json]:
    """A repo at a revision."""
    commit = repo.at(revision)
    told = card(commit)
    labels = [*told.get("tags", []), "region:elsewhere"]
    if "license" in told:
        labels.append(f"license:{told['license']}")
    shown = blobs and repo.kind != "datasets"  # these have to be looked up in the tree
    return {
        **expanded(repo, ["private"]),
        "gated": "auto" if repo.private else False,
        "sha": commit.oid,
        "lastModified": stamp(commit.at),
        "tags": labels,
        "cardData": told or None,
        "pipeline_tag": told.get("pipeline_tag"),
        "library_name": told.get("library_name"),
        "siblings": [
            _sibling(path, blob) if shown else {"rfilename": path}
            for path, blob in sorted(commit.files.items(), reverse=True)
        ],
    }


def _sibling(path: str, blob: Blob) -> dict[str, Json]:
    size = len(blob.content)
    lfs = {"sha256": blob.sha256, "size": size, "pointerSize": len(blob.pointer)}
    told = {"rfilename": path, "blobId": blob.oid, "size": size}
    return {**told, "lfs": lfs if blob.large else None}


def tree(repo: OtherRepo, revision: str) -> list[Json]:
    """Every file and folder of a revision, in no order."""
    files = repo.at(revision).files
    folders = {p.as_posix() for f in files for p in PurePosixPath(f).parents} - {"."}
    told: list[Json] = [{"type": "directory", "path": f, "size": 0, "oid": ""} for f in folders]
    for path, blob in files.items():
        entry: dict[str, Json] = {"type": "file", "path": path, "oid": blob.oid}
        entry["size"] = len(blob.content)
        if blob.large:
            entry["lfs"] = {"oid": blob.sha256, "size": len(blob.content)}
            entry["lfs"]["pointerSize"] = len(blob.pointer)
            entry["xetHash"] = blob.sha256[::-1]
        told.append(entry)
    return told


def refs(repo: OtherRepo, *, pulls: bool) -> dict[str, Json]:
    """Branches, tags and what else points at a commit, the last made first."""
    kinds = {"pullRequests": "refs/pr/", "tags": "refs/tags/", "branches": "refs/heads/"}
    told: dict[str, Json] = {
        kind: [
            {"targetCommit": oid, "ref": ref, "name": ref.removeprefix(prefix)}
            for ref, oid in reversed(repo.refs.items())
            if ref.startswith(prefix)
        ]
        for kind, prefix in kinds.items()
    }
    if not pulls:
        del told["pullRequests"]
    # Made by the Hub from a dataset's files; nobody pushed them.
    converted = {"name": "parquet", "ref": "refs/convert/parquet", "targetCommit": "c" * 40}
    return {**told, "converts": [converted]}


def commits(repo: OtherRepo, revision: str) -> list[Json]:
    """The history of a revision."""
    return [
        {
            "id": commit.oid,
            "title": commit.title,
            "message": "",
            "date": stamp(commit.at),
            "authors": [{"user": "ana", "avatar": "/a.svg"}] if commit.parent else [],
        }
        for commit in repo.history(revision)
    ]


def blob_at(repo: OtherRepo, revision: str, path: str) -> tuple[str, Blob]:
    """The commit's sha and a file of it."""
    commit = repo.at(revision)
    if path not in commit.files:
        raise Refusal(404, "EntryNotFound", f"{path} is not in there")
    return commit.oid, commit.files[path]
