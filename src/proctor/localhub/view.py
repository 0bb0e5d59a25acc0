"""A repository at a revision, field by field, as info and list answers show it.

Fields: what ``ModelInfo``, ``DatasetInfo`` and ``SpaceInfo`` of huggingface_hub read. A field is
computed only when asked for.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from proctor.localhub import cards, commits, refs
from proctor.localhub.blobs import Blobs
from proctor.localhub.gitids import Entry
from proctor.localhub.listing import lfs_fields
from proctor.localhub.moment import iso
from proctor.localhub.refusal import bad_request
from proctor.localhub.repos import Repo
from proctor.localhub.store import Db


@dataclass(frozen=True)
class View:
    """``sha`` None means the head of main."""

    db: Db
    blobs: Blobs
    repo: Repo
    at: str | None = None

    @cached_property
    def sha(self) -> str:
        return self.at or refs.resolve(self.db, self.repo, "main")

    @cached_property
    def commit(self) -> commits.Commit:
        return commits.get(self.db, self.repo, self.sha)

    @cached_property
    def tree(self) -> Mapping[str, Entry]:
        return commits.files(self.db, self.repo, self.sha)

    @cached_property
    def summary(self) -> cards.Summary:
        card, config = self.tree.get("README.md"), self.tree.get("config.json")
        return cards.Summary(
            cards.card_at(self.blobs.path(card.sha256)) if card else None,
            cards.config_at(self.blobs.path(config.sha256)) if config else {},
        )

    @cached_property
    def tags(self) -> list[str]:
        return self.summary.tags(self.tree)

    def siblings(self, *, blobs: bool) -> list[dict[str, Any]]:
        answers = []
        for path, entry in sorted(self.tree.items()):
            answer: dict[str, Any] = {"rfilename": path}
            if blobs:
                answer |= {"size": entry.size, "blobId": entry.oid}
                if entry.lfs:
                    answer["lfs"] = lfs_fields(entry) | {"sha256": entry.sha256}
            answers.append(answer)
        return answers

    def config(self) -> dict[str, Any]:
        kept = ("architectures", "model_type")
        return {key: self.summary.config[key] for key in kept if key in self.summary.config}


_FIELDS: dict[str, Callable[[View], Any]] = {
    "author": lambda view: view.repo.namespace,
    "cardData": lambda view: view.summary.card,
    "config": View.config,
    "createdAt": lambda view: iso(view.repo.created_at),
    "disabled": lambda view: False,
    "downloads": lambda view: 0,
    "downloadsAllTime": lambda view: 0,
    "gated": lambda view: view.repo.gated or False,
    "lastModified": lambda view: iso(view.commit.at),
    "library_name": lambda view: view.summary.library,
    "likes": lambda view: 0,
    "pipeline_tag": lambda view: view.summary.task,
    "private": lambda view: view.repo.private,
    "sdk": lambda view: view.repo.sdk,
    "sha": lambda view: view.sha,
    "siblings": lambda view: view.siblings(blobs=False),
    "spaces": lambda view: [],
    "tags": lambda view: view.tags,
    "trendingScore": lambda view: 0,
    "usedStorage": lambda view: sum(entry.size for entry in view.tree.values()),
}
# Known to the client, but with nothing behind them here: asked for, they are left out.
_ABSENT = frozenset(
    """
    baseModels childrenModelCount evalResults gguf inference inferenceProviderMapping mask_token
    model-index resourceGroup safetensors transformersInfo widgetData citation description
    paperswithcode_id xetEnabled datasets models runtime subdomain
    """.split()  # noqa: SIM905 -- a list of plain words
)
_BRIEF = ("private", "tags", "pipeline_tag", "library_name", "createdAt", "likes", "downloads")
_FULL = (*_BRIEF, "author", "sha", "lastModified", "gated", "disabled", "siblings")
_INFO = (*_FULL, "cardData", "config", "spaces", "usedStorage")
_MODEL_ONLY = ("pipeline_tag", "library_name", "config", "spaces")


def chosen(expand: Iterable[str]) -> tuple[str, ...]:
    """The fields of an ``expand``; 400 for one that nobody knows."""
    names = tuple(expand)
    unknown = [name for name in names if name not in _FIELDS and name not in _ABSENT]
    if unknown:
        raise bad_request(f"Unknown expand: {unknown[0][:50]}")
    return names


def brief(view: View, *, full: bool) -> dict[str, Any]:
    """An item of a list answer."""
    return show(view, _FULL if full else _BRIEF)


def whole(view: View, *, blobs: bool, security: bool) -> dict[str, Any]:
    """The answer of an info call without ``expand``."""
    answer = show(view, _INFO)
    if blobs:
        answer["siblings"] = view.siblings(blobs=True)
    if security:
        answer["securityRepoStatus"] = {"scansDone": True, "filesWithIssues": []}
    return answer


def show(view: View, names: Iterable[str]) -> dict[str, Any]:
    """The identity and these fields, without those that say nothing about this type."""
    repo = view.repo
    answer: dict[str, Any] = {"_id": repo.id, "id": repo.name}
    if repo.type == "model":
        answer["modelId"] = repo.name
    if repo.type == "space":
        names = (*names, "sdk")
    for name in names:
        if name in _FIELDS and (repo.type == "model" or name not in _MODEL_ONLY):
            value = _FIELDS[name](view)
            if value is not None:
                answer[name] = value
    return answer
