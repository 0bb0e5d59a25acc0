"""What people do to a deployment: move tags, settle holds, roll back, rename, delete."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psutil
import pytest

if TYPE_CHECKING:
    from tests.e2e.conftest import Deployment

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("up")]


def test_a_person_outranks_the_machine_until_they_settle_it(deployment: Deployment) -> None:
    repo = "acme/card-held"
    first = deployment.push_card(repo)
    deployment.run_at(repo, first, "promoted")
    second = deployment.push_card(repo)
    deployment.run_at(repo, second, "promoted")
    assert deployment.tags(repo)["prod"] == second

    _by_hand(deployment, repo, "prod", first)
    (hold,) = deployment.until(lambda: _holds(deployment, repo), "the hold")
    assert hold["stage"] == "prod"
    assert first[:8] in hold["reason"] and second[:8] in hold["reason"]

    third = deployment.push_card(repo)
    run = deployment.run_at(repo, third, "waiting")
    assert [p["status"] for p in run["promotions"]] == ["done", "held"]
    assert deployment.tags(repo)["prod"] == first, "the person's tag was moved"
    assert deployment.tags(repo)["staging"] == third
    said = deployment.command("promote", f"{repo}@{third[:10]}", "prod", status=1)
    assert "prod is held" in said and f"proctor release {repo} prod" in said

    deployment.command("release", repo, "prod", "--restore", "--by", "ana")
    deployment.run_at(repo, third, "promoted")
    assert deployment.tags(repo)["prod"] == third
    assert _holds(deployment, repo) == []

    deployment.command("rollback", repo, "prod", "--by", "ana")
    # Where it stood before: what the person put there counts.
    deployment.until(lambda: deployment.tags(repo).get("prod") == first, "the rollback")
    deployment.until(lambda: _in_prod(deployment, repo) == first, "the record of the rollback")
    assert deployment.tags(repo)["staging"] == third
    assert _holds(deployment, repo) == [], "our own rollback was taken for a person's"


def test_what_did_not_pass_is_refused(deployment: Deployment) -> None:
    repo = "acme/card-refused"
    sha = deployment.push_card(repo, licence="proprietary")
    deployment.run_at(repo, sha, "held")
    said = deployment.command("promote", f"{repo}@{sha[:10]}", "staging", status=1)
    assert "not proven" in said and "says fail" in said
    assert deployment.tags(repo) == {}


def test_a_rename_between_push_and_promotion_changes_nothing(deployment: Deployment) -> None:
    old, new = "acme/card-before", "acme/card-after"
    deployment.hub.faults.add("/tag/", "503", method="POST", times=1000)
    sha = deployment.push_card(old)
    deployment.run_at(old, sha, "promoting")
    deployment.api.move_repo(old, new)
    deployment.until(lambda: deployment.why(new, sha)["runs"], "the new name")
    deployment.hub.faults.clear()
    deployment.run_at(new, sha, "promoted")
    assert deployment.tags(new)["prod"] == sha
    (run,) = deployment.why(new, sha)["runs"]
    assert run["verdict"]["result"] == "pass"


def test_of_a_repo_deleted_in_the_middle_people_are_told(deployment: Deployment) -> None:
    """It cannot be told from one that is hidden from us, and the tag may have been touched: so the
    move stays open."""
    repo = "acme/card-deleted"
    deployment.hub.faults.add("/tag/", "503", method="POST", times=1000)
    sha = deployment.push_card(repo)
    deployment.run_at(repo, sha, "promoting")
    deployment.until(
        lambda: [s for s in deployment.why(repo, sha)["runs"][0]["steps"] if "503" in str(s)],
        "the first try to make the tag",
    )
    deployment.api.delete_repo(repo)
    deployment.hub.faults.clear()

    def told() -> list[dict[str, Any]]:
        (run,) = deployment.why(repo, sha)["runs"]
        return [n for n in run["notices"] if n["kind"] == "promotion.half_moved"]

    deployment.until(told, "the notice")
    assert deployment.run_at(repo, sha, "promoting")
    assert "(gone)" in deployment.until(
        lambda: next((s for s in deployment.command("status").splitlines() if repo in s), ""),
        "the repo in the status",
    )


def _by_hand(deployment: Deployment, repo: str, tag: str, sha: str) -> None:
    """As a person would, with the API; no look falls between the two halves of it."""
    io = psutil.Process(deployment.parts["io"].pid)
    io.suspend()
    try:
        deployment.api.delete_tag(repo, tag=tag)
        deployment.api.create_tag(repo, tag=tag, revision=sha)
    finally:
        io.resume()


def _holds(deployment: Deployment, repo: str) -> list[dict[str, Any]]:
    """The holds of the repo in `proctor status --json`, told of the tag's last place."""
    return [h for h in deployment.facts("status")["holds"] if h["repo"] == repo]


def _in_prod(deployment: Deployment, repo: str) -> str | None:
    found: str | None = deployment.why(repo)["stages"].get("prod")
    return found
