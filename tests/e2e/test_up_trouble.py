"""What the world does to a deployment: a broker that forgets, an event told twice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import redis

if TYPE_CHECKING:
    from tests.e2e.conftest import Deployment

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("up")]


def test_a_broker_that_forgets_everything_loses_nothing(deployment: Deployment) -> None:
    repo = "acme/card-flushed"
    deployment.make(repo)
    assert deployment.end("io") == 0
    try:
        sha = deployment.push_card(repo)
        with redis.Redis.from_url(deployment.redis_url) as broker:
            deployment.until(lambda: broker.llen("proctor:io"), "the hint in the broker")
            broker.flushdb()
            assert deployment.until(lambda: _accepted(deployment, sha), "the event on record") == 1
            assert broker.llen("proctor:io") == 0
    finally:
        deployment.start("io")
    deployment.run_at(repo, sha, "promoted")
    assert deployment.tags(repo)["prod"] == sha


def test_a_broker_emptied_under_running_workers_goes_on_working(deployment: Deployment) -> None:
    with redis.Redis.from_url(deployment.redis_url) as broker:
        broker.flushdb()
    sha = deployment.push_card("acme/card-flushed-again")
    deployment.run_at("acme/card-flushed-again", sha, "promoted")


def test_a_replayed_delivery_is_counted_once(deployment: Deployment) -> None:
    repo = "acme/card-replayed"
    before = deployment.facts("status")["steps"]["ready"]  # of other repos, which may stay
    sha = deployment.push_card(repo)
    deployment.run_at(repo, sha, "promoted")
    delivery = next(
        d
        for d in deployment.hub.deliveries(deployment.webhook)
        if any(ref.get("newSha") == sha for ref in d["payload"].get("updatedRefs", ()))
        and d["payload"]["updatedRefs"][0]["ref"] == "refs/heads/main"
    )
    for _ in range(3):
        deployment.hub.replay(deployment.webhook, delivery["id"])
        assert deployment.hub.wait_delivered(60)
    event = deployment.until(lambda: _told(deployment, repo, sha, times=4), "the replays")
    assert [d["disposition"] for d in event["deliveries"]][1:] == ["duplicate"] * 3
    # The looks that the replays asked for are over, and started nothing.
    deployment.until(lambda: deployment.facts("status")["steps"]["ready"] <= before, "quiet")
    facts = deployment.facts("why", f"{repo}@{sha}")
    assert len(facts["runs"]) == 1 and facts["runs"][0]["status"] == "promoted"
    assert "delivered 4 times, counted once" in deployment.command("why", f"{repo}@{sha}")


def _told(deployment: Deployment, repo: str, sha: str, times: int) -> dict[str, Any] | None:
    for event in deployment.why(repo, sha)["events"]:
        if len(event["deliveries"]) >= times:
            return dict(event)
    return None


def _accepted(deployment: Deployment, sha: str) -> int:
    statement = "SELECT count(*) FROM events WHERE head = :sha AND disposition = 'pending'"
    return deployment.count(statement, sha=sha)
