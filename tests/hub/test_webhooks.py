"""Webhooks as they are asked for: once, in the Hub's spelling, and by kind."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from proctor.core.errors import TransientError
from proctor.hub import HuggingFaceHub

if TYPE_CHECKING:
    from tests.hub.conftest import Stub


def test_a_webhook_is_registered_once_and_by_either_spelling(
    stub: Stub, hub: HuggingFaceHub
) -> None:
    path = "/api/settings/webhooks"
    stub.on("POST", path, stub.answer(reset=True))
    with pytest.raises(TransientError):
        hub.create_webhook("https://x.example/", ["acme/bot"], ["repo"], "secret")
    assert len(stub.asked("POST", path)) == 1
    made = {
        "id": "1",
        "url": "https://x.example/",
        "watched": [{"type": "model", "name": "acme/bot"}],
        "domains": ["repo", "discussions"],
        "disabled": False,
    }
    stub.on("POST", path, stub.told({"error": "no such domain"}, 400), stub.told({"webhook": made}))
    webhook = hub.create_webhook(
        "https://x.example/", ["acme/bot"], ["repo", "discussion"], "secret"
    )
    assert webhook.domains == ("repo", "discussion")
    _, first, second = [json.loads(seen.body) for seen in stub.asked("POST", path)]
    assert first["domains"] == ["repo", "discussion"]
    assert second["domains"] == ["repo", "discussions"]


def test_a_webhook_names_what_it_watches_by_kind(stub: Stub, hub: HuggingFaceHub) -> None:
    me = {"type": "user", "id": "u", "name": "bot", "orgs": [{"name": "acme"}], "auth": {}}
    stub.on("GET", "/api/whoami-v2", stub.told(me))
    stub.on("GET", "/api/organizations/others/overview", stub.told({"name": "others"}))
    stub.on("GET", "/api/datasets/acme/questions", stub.identity("d" * 24, "acme/questions"))
    made = {"id": "1", "url": "", "watched": [], "domains": ["repo"], "disabled": False}
    stub.on("POST", "/api/settings/webhooks", stub.told({"webhook": made}))
    watched = ["bot", "acme", "others", "somebody", "acme/bot", "datasets/acme/questions"]
    hub.create_webhook("https://x.example/", watched, ["repo"], "secret")
    [seen] = stub.asked("POST", "/api/settings/webhooks")
    assert json.loads(seen.body)["watched"] == [
        {"type": "user", "name": "bot"},
        {"type": "org", "name": "acme"},
        {"type": "org", "name": "others"},
        {"type": "user", "name": "somebody"},
        {"type": "model", "name": "acme/bot"},
        {"type": "dataset", "name": "acme/questions"},
    ]
