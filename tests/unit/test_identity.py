"""What makes two deliveries one event, and what keeps two events apart."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from proctor.core.identity import BUCKET, identify
from proctor.core.payload import parse

SAMPLES = Path(__file__).parents[2] / "fixtures" / "webhooks"
WHEN = 1_790_000_000.0 // BUCKET * BUCKET  # the start of a bucket


def identity(
    name: str,
    change: Callable[[dict[str, Any]], object] = lambda body: None,
    *,
    webhook_id: str | None = None,
    at: float = WHEN,
    unique: str = "d1",
) -> str:
    body = json.loads((SAMPLES / name / "body.json").read_text())
    change(body)
    payload = parse(json.dumps(body).encode())
    return identify(webhook_id, payload, received_at=at, unique=unique)


def test_the_webhook_id_decides_where_there_is_one() -> None:
    first = identity("repo.content-push", webhook_id="a")
    late = identity("repo.content-push", webhook_id="a", at=WHEN + 7 * 86400, unique="d2")
    assert first == late
    assert first != identity("repo.content-push", webhook_id="b")


def test_the_webhook_id_counts_within_its_subscription() -> None:
    def other(body: dict[str, Any]) -> None:
        body["webhook"]["id"] = "0" * 24

    assert identity("repo.content-push", webhook_id="a") != identity(
        "repo.content-push", other, webhook_id="a"
    )


def test_an_empty_webhook_id_is_none() -> None:
    assert identity("repo.content-push", webhook_id="") == identity("repo.content-push")


def test_equal_payloads_in_one_bucket_are_one_event() -> None:
    first = identity("repo.content-push")
    assert first == identity("repo.content-push", at=WHEN + BUCKET - 0.001, unique="d2")
    assert first != identity("repo.content-push", at=WHEN + BUCKET)


def test_an_empty_config_change_is_never_a_repetition() -> None:
    assert identity("repo.config-empty", unique="d1") != identity("repo.config-empty", unique="d2")


def test_an_empty_config_change_with_a_webhook_id_can_be_one() -> None:
    first = identity("repo.config-empty", webhook_id="a", unique="d1")
    assert first == identity("repo.config-empty", webhook_id="a", unique="d2")


def _set(*path: str | int, value: object) -> Callable[[dict[str, Any]], None]:
    def change(body: Any) -> None:
        for key in path[:-1]:
            body = body[key]
        body[path[-1]] = value

    return change


OTHER = "f" * 40


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("repo.content-push", _set("updatedRefs", 0, "newSha", value=OTHER)),
        ("repo.content-push", _set("updatedRefs", 0, "ref", value="refs/heads/x")),
        ("repo.content-push", _set("repo", "headSha", value=OTHER)),
        ("repo.content-push", _set("repo", "id", value="0" * 24)),
        ("repo.content-push", _set("repo", "type", value="dataset")),
        ("repo-move", _set("movedTo", "name", value="acme/other")),
        ("repo-update", _set("event", "action", value="create")),
        ("repo-update", _set("repo", "name", value="acme/renamed")),
        ("repo.config-private", _set("updatedConfig", value={"private": False})),
        ("repo.config-private", _set("repo", "headSha", value=OTHER)),
        ("discussion-merged", _set("discussion", "status", value="open")),
        ("discussion-merged", _set("discussion", "title", value="Another")),
        ("discussion-merged", _set("discussion", "changes", "base", value="refs/heads/dev")),
        ("discussion-pull-request", _set("comment", "id", value="0" * 24)),
        ("discussion.comment-create", _set("comment", "content", value="/proctor hold")),
        ("discussion.comment-create", _set("comment", "hidden", value=True)),
        ("unknown-scope", _set("anything", value=1)),
        ("repo.content-narrower-scope", _set("anything", value=1)),
    ],
)
def test_what_differs_in_a_telling_field_is_another_event(
    name: str, change: Callable[[dict[str, Any]], None]
) -> None:
    assert identity(name) != identity(name, change)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("repo.content-push", _set("repo", "name", value="acme/renamed")),
        ("repo.content-push", _set("repo", "url", value={"web": "https://example.org/x"})),
        ("repo.content-push", _set("repo", "tags", value=[])),
        ("repo.content-push", _set("anything", value=1)),
        ("repo.config-private", _set("repo", "name", value="acme/renamed")),
        ("discussion.comment-create", _set("comment", "url", value={"web": ""})),
        ("discussion.comment-create", _set("discussion", "status", value="closed")),
    ],
)
def test_what_differs_elsewhere_is_the_same_event(
    name: str, change: Callable[[dict[str, Any]], None]
) -> None:
    assert identity(name) == identity(name, change)


def test_the_order_of_the_refs_does_not_matter() -> None:
    name = "repo.content-push-and-tag"
    assert identity(name) == identity(name, lambda b: b["updatedRefs"].reverse())


def test_every_sample_is_an_event_of_its_own() -> None:
    # The push comes twice on purpose, with and without a Webhook-Id.
    names = [p.name for p in SAMPLES.iterdir() if p.is_dir() and "without" not in p.name]
    assert len({identity(name, unique=name) for name in names}) == len(names)
