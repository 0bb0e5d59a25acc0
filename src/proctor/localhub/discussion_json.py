"""Discussions as the API's answers and the webhooks' bodies show them.

Answers: what the discussion methods of ``HfApi`` read. Bodies: version 3,
https://huggingface.co/docs/hub/webhooks.
"""

from typing import Any

from proctor.localhub import people
from proctor.localhub.discussions import Discussion, Happening
from proctor.localhub.moment import iso
from proctor.localhub.repos import MAIN, Repo
from proctor.localhub.store import Db


def summary(item: Discussion, repo: Repo) -> dict[str, Any]:
    """What lists and details have in common."""
    answer: dict[str, Any] = {
        "id": item.id,
        "num": item.num,
        "title": item.title,
        "status": item.status,
        "author": {"name": item.author},
        "createdAt": iso(item.created_at),
        "isPullRequest": item.is_pr,
        "pinned": False,
        "locked": False,
        "repo": {"name": repo.name, "type": repo.type},
    }
    if item.is_pr:
        answer["changes"] = changes(item)
    return answer


def changes(item: Discussion) -> dict[str, str]:
    """``changes`` of a pull request: its base and, once merged, the merge commit."""
    answer = {"base": item.base or MAIN}
    if item.merge_sha:
        answer["mergeCommitId"] = item.merge_sha
    return answer


def for_webhook(db: Db, item: Discussion, repo: Repo, base_url: str) -> dict[str, Any]:
    """``discussion`` of a webhook's body."""
    answer: dict[str, Any] = {
        "id": item.id,
        "num": item.num,
        "title": item.title,
        "status": item.status,
        "isPullRequest": item.is_pr,
        "author": {"id": people.owner_id(db, item.author)},
        "url": {
            "web": f"{base_url}/{repo.web_path}/discussions/{item.num}",
            "api": f"{base_url}/api/{repo.type}s/{repo.name}/discussions/{item.num}",
        },
    }
    if item.is_pr:
        answer["changes"] = changes(item)
    return answer


def comment_for_webhook(
    db: Db, said: Happening, item: Discussion, repo: Repo, base_url: str
) -> dict[str, Any]:
    """``comment`` of a webhook's body: without content when hidden."""
    web = f"{base_url}/{repo.web_path}/discussions/{item.num}#{said.id}"
    answer: dict[str, Any] = {
        "id": said.id,
        "author": {"id": people.owner_id(db, said.author)},
        "hidden": said.body["hidden"],
        "url": {"web": web},
    }
    if not said.body["hidden"]:
        answer["content"] = said.body["latest"]["raw"]
    return answer
