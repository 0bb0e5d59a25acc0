"""A push whose webhook was lost, found by `proctor sweep --once --json` (P3)."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from huggingface_hub import HfApi

from proctor.localhub import DeliveryPolicy, LocalHub

if TYPE_CHECKING:
    from tests.cli.conftest import Cli, Start, Until

REPO = "acme/bot"
ONCE = DeliveryPolicy(tries=1, first_wait_s=0.1, longest_wait_s=0.1, timeout_s=1.0)


def test_a_push_whose_webhook_was_lost_is_found_and_promoted(
    cli: Cli, start: Start, until: Until
) -> None:
    cli.configured()
    with socket.socket() as bound, LocalHub(cli.folder / "hub", deliveries=ONCE) as hub:
        bound.bind(("127.0.0.1", 0))  # and nobody listens: connections are refused
        nobody = f"http://127.0.0.1:{bound.getsockname()[1]}/webhooks/hub"
        hub.create_org("acme")
        token = hub.create_user("ana", orgs=["acme"])
        api = HfApi(endpoint=hub.url, token=token)
        webhook = api.create_webhook(
            url=nobody, watched=[{"type": "org", "name": "acme"}], domains=["repo"]
        ).id
        api.create_repo(REPO)
        sha = api.upload_file(
            path_or_fileobj=b"---\nlicense: mit\n---\n# Bot\n",
            path_in_repo="README.md",
            repo_id=REPO,
        ).oid
        assert hub.wait_delivered(60)
        assert {d["status"] for d in hub.deliveries(webhook)} == {"failed"}
        cli.environ.update(HF_ENDPOINT=hub.url, HF_TOKEN=token)

        found = cli("sweep", "--once", "--json")
        assert found.status == 0
        drift = found.facts["drift"]
        assert (drift["heads"], drift["missed"], drift["trouble"]) == (1, [REPO], [])

        start("worker", environ=cli.environ)
        until(lambda: _status(cli) == "promoted", "the promotion")
        refs = {tag.name: tag.target_commit for tag in api.list_repo_refs(REPO).tags}
        assert refs == {"staging": sha, "prod": sha, "prod-1": sha}
        events = cli("why", f"{REPO}@{sha}", "--json").facts["events"]
        assert [(e["source"], e["disposition"]) for e in events] == [("sweep", "ran")]

        again = cli("sweep", "--once", "--json").facts["drift"]
        assert (again["heads"], again["missed"]) == (1, [])
        assert len(cli("runs", "--json").facts) == 1


def _status(cli: Cli) -> str:
    runs = cli("runs", "--json").facts
    return str(runs[0]["status"]) if runs else ""
