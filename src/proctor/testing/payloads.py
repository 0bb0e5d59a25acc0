"""Webhook bodies as the Hub sends them (version 3).

Shapes: https://huggingface.co/docs/hub/webhooks#webhook-payloads
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from proctor.core.evidence import Json
from proctor.core.names import Repo, RepoType, Revision

_WEB = {RepoType.MODEL: "", RepoType.DATASET: "datasets/", RepoType.SPACE: "spaces/"}


def payload(
    repo: Repo,
    action: str,
    scope: str,
    *,
    head: Revision | None,
    subscription: str,
    endpoint: str = "https://huggingface.co",
    more: Mapping[str, Json] | None = None,
) -> dict[str, Json]:
    """A whole body. `more` are its optional top-level fields (updatedRefs, discussion, ...)."""
    told: dict[str, Json] = {
        "type": repo.type.value,
        "name": repo.name,
        "id": repo.hub_id,
        "private": repo.private,
        "url": {
            "web": f"{endpoint}/{_WEB[repo.type]}{repo.name}",
            "api": f"{endpoint}/api/{repo.type.value}s/{repo.name}",
        },
        "owner": {"id": owner_id(repo.name)},
    }
    if head is not None:
        told["headSha"] = head
    return {
        "event": {"action": action, "scope": scope},
        "repo": told,
        "webhook": {"id": subscription, "version": 3},
        **(more or {}),
    }


def updated_refs(
    moves: Sequence[tuple[str, Revision | None, Revision | None]],
) -> Sequence[Mapping[str, Json]]:
    """The value of `updatedRefs` for moves of (ref, old, new)."""
    return [{"ref": ref, "oldSha": old, "newSha": new} for ref, old, new in moves]


def discussion(
    number: int, title: str, *, url: str, base: str | None, status: str = "open"
) -> Mapping[str, Json]:
    """The value of `discussion`; `base` is set for a pull request."""
    told: dict[str, Json] = {
        "id": f"{number:024x}",
        "title": title,
        "url": {"web": f"{url}/discussions/{number}"},
        "author": {"id": "a" * 24},
        "isPullRequest": base is not None,
        "status": status,
        "num": number,
    }
    if base is not None:
        told["changes"] = {"base": base}
    return told


def comment(id: str, content: str, *, url: str) -> Mapping[str, Json]:
    """The value of `comment`."""
    return {
        "id": id,
        "author": {"id": "a" * 24},
        "content": content,
        "hidden": False,
        "url": {"web": f"{url}#{id}"},
    }


def owner_id(name: str) -> str:
    """A stable made-up id for the owner of the repo called `name`."""
    return (name.partition("/")[0].encode().hex() + "0" * 24)[:24]
