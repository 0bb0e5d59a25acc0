import socket
from pathlib import Path
from typing import Any

import httpx2
import pytest
from huggingface_hub import CommitOperationAdd, HfApi, WebhookPayload, WebhookWatchedItem
from huggingface_hub.errors import HfHubHTTPError

from proctor.localhub import DeliveryPolicy, LocalHub

from .conftest import FAST, Receiver


def watch(api: HfApi, receiver: Receiver, repo: str, **more: Any) -> str:
    item = WebhookWatchedItem(type="model", name=repo)
    hook = api.create_webhook(url=receiver.url, watched=[item], **more)
    return hook.id


def test_subscriptions(ana: HfApi, bob: HfApi) -> None:
    hook = ana.create_webhook(
        url="http://127.0.0.1:9/x",
        watched=[{"type": "org", "name": "nobody"}],
        domains=["repo"],
        secret="s3cret",
    )
    assert (hook.domains, hook.secret, hook.disabled) == (["repo"], "s3cret", False)
    assert ana.get_webhook(hook.id) == hook
    assert hook in ana.list_webhooks()
    assert hook.id not in [other.id for other in bob.list_webhooks()]
    with pytest.raises(HfHubHTTPError) as error:
        bob.get_webhook(hook.id)
    assert error.value.response.status_code == 404

    changed = ana.update_webhook(hook.id, url="http://127.0.0.1:9/y")
    # The client sends an empty list for what it does not mention.
    assert (changed.url, changed.watched, changed.secret) == ("http://127.0.0.1:9/y", [], "s3cret")
    assert ana.disable_webhook(hook.id).disabled
    assert not ana.enable_webhook(hook.id).disabled
    ana.delete_webhook(hook.id)
    with pytest.raises(HfHubHTTPError):
        ana.get_webhook(hook.id)


@pytest.mark.parametrize(
    "wish",
    [
        {"url": "ftp://x/"},
        {"url": "http://"},
        {"url": "http://[x/"},
        {"watched": [{"type": "planet", "name": "x"}]},
        {"watched": ["x"]},
        {"domains": ["weather"]},
        {"domains": "repo"},
        {"secret": "ä"},
        {"secret": "a\nb"},
    ],
)
def test_nonsense_is_refused(ana: HfApi, wish: dict[str, Any]) -> None:
    sound = {"url": "http://127.0.0.1:9/", "watched": [], "domains": ["repo"]}
    answer = httpx2.post(
        f"{ana.endpoint}/api/settings/webhooks",
        json={**sound, **wish},
        headers={"Authorization": f"Bearer {ana.token}"},
    )
    assert answer.status_code == 400


def test_a_push_arrives(ana: HfApi, repo: str, receiver: Receiver, hub: LocalHub) -> None:
    before = ana.model_info(repo)
    hook = watch(ana, receiver, repo, secret="verbatim !~ $")
    commit = ana.create_commit(repo, [CommitOperationAdd("a", b"a")], commit_message="a")
    (got,) = receiver.wait(1)
    assert got.headers["X-Webhook-Secret"] == "verbatim !~ $"
    assert got.headers["Content-Type"] == "application/json"
    owner = got.body["repo"].pop("owner")
    assert set(owner) == {"id"}
    assert got.body == {
        "event": {"action": "update", "scope": "repo.content"},
        "repo": {
            "type": "model",
            "name": repo,
            "id": before._id,  # type: ignore[attr-defined]
            "private": False,
            "url": {"web": f"{hub.url}/{repo}", "api": f"{hub.url}/api/models/{repo}"},
            "headSha": commit.oid,
        },
        "updatedRefs": [{"ref": "refs/heads/main", "oldSha": before.sha, "newSha": commit.oid}],
        "webhook": {"id": hook, "version": 3},
    }
    assert hub.wait_delivered(60)
    (entry,) = hub.deliveries(hook)
    assert (entry["id"], entry["status"]) == (got.headers["Webhook-Id"], "delivered")
    assert [attempt["answer"] for attempt in entry["tries"]] == [200]
    assert "verbatim" not in str(entry)


def test_tags_and_branches_tell_of_their_ref_and_of_the_head_of_main(
    ana: HfApi, repo: str, receiver: Receiver, hub: LocalHub
) -> None:
    old = ana.model_info(repo).sha
    head = ana.upload_file(path_or_fileobj=b"x", path_in_repo="x", repo_id=repo).oid
    watch(ana, receiver, repo)
    ana.create_tag(repo, tag="prod", revision=old)
    ana.delete_tag(repo, tag="prod")
    ana.create_branch(repo, branch="dev", revision=old)
    got = receiver.wait(3)
    changes = [(i.body["updatedRefs"][0], i.body["repo"]["headSha"]) for i in got]
    assert sorted(changes, key=str) == sorted(
        [
            ({"ref": "refs/tags/prod", "oldSha": None, "newSha": old}, head),
            ({"ref": "refs/tags/prod", "oldSha": old, "newSha": None}, head),
            ({"ref": "refs/heads/dev", "oldSha": None, "newSha": old}, head),
        ],
        key=str,
    )
    assert len({item.headers["Webhook-Id"] for item in got}) == 3


def test_many_refs_in_one_event(
    ana: HfApi, repo: str, receiver: Receiver, http: httpx2.Client
) -> None:
    head = ana.upload_file(path_or_fileobj=b"x", path_in_repo="x", repo_id=repo).oid
    ana.create_tag(repo, tag="a")
    watch(ana, receiver, repo)
    first = ana.list_repo_commits(repo)[-1].commit_id
    ana.create_tag(repo, tag="c")
    receiver.wait(1)
    moves = {
        "refs/tags/a": first,
        "refs/tags/b": head,
        "refs/heads/main": first,
        "refs/tags/c": None,
    }
    assert http.post(f"/_push/models/{repo}", json={"refs": moves}).status_code == 200
    (_, got) = receiver.wait(2)
    assert [change["ref"] for change in got.body["updatedRefs"]] == list(moves)
    assert got.body["updatedRefs"][0] == {"ref": "refs/tags/a", "oldSha": head, "newSha": first}
    assert got.body["updatedRefs"][-1] == {"ref": "refs/tags/c", "oldSha": head, "newSha": None}
    assert got.body["repo"]["headSha"] == first
    gone = http.post(f"/_push/models/{repo}", json={"refs": {"refs/tags/c": None}})
    assert gone.status_code == 404


def test_the_life_of_a_repository(ana: HfApi, receiver: Receiver, hub: LocalHub) -> None:
    hook = ana.create_webhook(url=receiver.url, watched=[{"type": "org", "name": "acme"}])
    ana.create_repo("acme/life")
    ana.update_repo_settings("acme/life", private=True)
    ana.move_repo("acme/life", "acme/after")
    ana.delete_repo("acme/after")
    got = receiver.wait(4)
    assert receiver.scopes() == ["repo.config:update", "repo:create", "repo:delete", "repo:move"]
    by_scope = {f"{i.body['event']['scope']}:{i.body['event']['action']}": i.body for i in got}
    assert by_scope["repo.config:update"]["updatedConfig"] == {"private": True}
    assert by_scope["repo.config:update"]["repo"]["private"] is True
    move = by_scope["repo:move"]
    assert (move["repo"]["name"], move["movedTo"]["name"]) == ("acme/life", "acme/after")
    assert move["movedTo"]["owner"] == move["repo"]["owner"]
    assert len({item.body["repo"]["id"] for item in got}) == 1
    ana.delete_webhook(hook.id)


def test_pull_requests_and_comments(ana: HfApi, repo: str, receiver: Receiver) -> None:
    watch(ana, receiver, repo)
    head = ana.model_info(repo).sha
    opened = ana.create_commit(
        repo, [CommitOperationAdd("x", b"x")], commit_message="Proposal", create_pr=True
    )
    first = {item.body["event"]["scope"]: item.body for item in receiver.wait(2)}
    assert first["repo.content"]["updatedRefs"] == [
        {"ref": "refs/pr/1", "oldSha": None, "newSha": opened.oid}
    ]
    assert first["repo.content"]["repo"]["headSha"] == head
    told = first["discussion"]["discussion"]
    assert (told["num"], told["isPullRequest"], told["status"]) == (1, True, "open")
    assert told["changes"] == {"base": "refs/heads/main"}
    assert first["discussion"]["comment"]["content"] == "Proposal"

    receiver.received.clear()
    said = ana.comment_discussion(repo, 1, "/proctor run")
    comment = receiver.wait(1)[0].body
    assert comment["event"] == {"action": "create", "scope": "discussion.comment"}
    assert (comment["comment"]["id"], comment["comment"]["content"]) == (said.id, "/proctor run")
    assert comment["discussion"]["id"] == told["id"]

    receiver.received.clear()
    ana.edit_discussion_comment(repo, 1, said.id, "edited")
    assert receiver.wait(1)[0].body["comment"]["content"] == "edited"
    receiver.received.clear()
    with pytest.warns(UserWarning):
        ana.hide_discussion_comment(repo, 1, said.id)
    hidden = receiver.wait(1)[0].body["comment"]
    assert hidden["hidden"] is True and "content" not in hidden

    receiver.received.clear()
    ana.merge_pull_request(repo, 1)
    receiver.wait(2)
    assert receiver.scopes() == ["discussion:update", "repo.content:update"]
    (merged,) = (i.body for i in receiver.received if "discussion" in i.body)
    assert merged["discussion"]["status"] == "merged"
    assert merged["discussion"]["changes"]["mergeCommitId"] == ana.model_info(repo).sha
    for item in receiver.received:
        WebhookPayload(**item.body)  # the client's own idea of a payload


def test_domains_and_watched_items_choose(
    ana: HfApi, repo: str, receiver: Receiver, hub: LocalHub
) -> None:
    ana.create_webhook(
        url=receiver.url, watched=[{"type": "model", "name": repo}], domains=["discussion"]
    )
    ana.create_webhook(url=receiver.url, watched=[{"type": "dataset", "name": repo}])
    ana.create_webhook(url=receiver.url, watched=[{"type": "user", "name": "bob"}])
    ana.create_tag(repo, tag="v1")
    ana.create_discussion(repo, "Hello", description="world")
    receiver.wait(1)
    assert hub.wait_delivered(60)
    assert receiver.scopes() == ["discussion:create"]


def test_nobody_learns_of_what_they_cannot_see(
    ana: HfApi, bob: HfApi, repo: str, receiver: Receiver, hub: LocalHub
) -> None:
    watch(bob, receiver, repo)
    ana.update_repo_settings(repo, private=True)
    ana.create_tag(repo, tag="secret")
    assert hub.wait_delivered(60)
    assert receiver.received == []


def test_a_moved_repository_stays_watched(ana: HfApi, repo: str, receiver: Receiver) -> None:
    watch(ana, receiver, repo)
    ana.move_repo(repo, f"{repo}-2")
    ana.create_tag(f"{repo}-2", tag="v1")
    receiver.wait(2)
    assert receiver.scopes() == ["repo.content:update", "repo:move"]


def test_failures_are_tried_again_under_the_same_id(
    ana: HfApi, repo: str, receiver: Receiver, hub: LocalHub
) -> None:
    receiver.answers = [500, 404]
    hook = watch(ana, receiver, repo)
    ana.create_tag(repo, tag="v1")
    got = receiver.wait(3)
    assert [item.answer for item in got] == [500, 404, 200]
    assert len({item.headers["Webhook-Id"] for item in got}) == 1
    assert got[0].body == got[2].body
    assert hub.wait_delivered(60)
    (entry,) = hub.deliveries(hook)
    assert [attempt["answer"] for attempt in entry["tries"]] == [500, 404, 200]


def test_replay(
    ana: HfApi, bob: HfApi, repo: str, receiver: Receiver, hub: LocalHub, http: httpx2.Client
) -> None:
    hook = watch(ana, receiver, repo)
    ana.create_tag(repo, tag="v1")
    receiver.wait(1)
    assert hub.wait_delivered(60)
    url = f"/api/settings/webhooks/{hook}/deliveries"
    token = {"Authorization": f"Bearer {ana.token}"}
    (entry,) = http.get(url, headers=token).json()["deliveries"]
    assert http.get(url, headers={"Authorization": f"Bearer {bob.token}"}).status_code == 404
    assert http.post(f"{url}/{entry['id']}/replay", headers=token).status_code == 202
    first, second = receiver.wait(2)
    assert first.headers["Webhook-Id"] == second.headers["Webhook-Id"] == entry["id"]
    assert first.body == second.body
    assert http.post(f"{url}/nothing/replay", headers=token).status_code == 404
    assert hub.wait_delivered(60)
    assert [attempt["replay"] for attempt in hub.deliveries(hook)[0]["tries"]] == [False, True]
    hub.replay(hook, entry["id"])
    receiver.wait(3)


def test_a_hook_that_keeps_failing_is_suspended(
    ana: HfApi, repo: str, receiver: Receiver, hub: LocalHub
) -> None:
    receiver.answers = [500] * FAST.tries * FAST.suspend_after
    hook = watch(ana, receiver, repo)
    for number in range(FAST.suspend_after):
        assert not ana.get_webhook(hook).disabled
        ana.create_tag(repo, tag=f"v{number}")
        assert hub.wait_delivered(60)
    assert ana.get_webhook(hook).disabled
    count = len(receiver.received)
    ana.create_tag(repo, tag="unheard")
    assert hub.wait_delivered(60) and len(receiver.received) == count
    assert not ana.enable_webhook(hook).disabled
    ana.create_tag(repo, tag="heard")
    receiver.wait(count + 1)
    assert hub.wait_delivered(60)
    assert {entry["status"] for entry in hub.deliveries(hook)} == {"failed", "delivered"}


def test_a_slow_receiver_does_not_hold_up_the_hub(tmp_path: Path, receiver: Receiver) -> None:
    policy = DeliveryPolicy(timeout_s=60, tries=1)
    with LocalHub(tmp_path, deliveries=policy) as hub:
        api = HfApi(endpoint=hub.url, token=hub.create_user("ana"))
        api.create_repo("ana/m")
        watched: list[dict[str, str] | WebhookWatchedItem] = [{"type": "user", "name": "ana"}]
        with socket.create_server(("127.0.0.1", 0)) as mute:  # lets callers in, and never answers
            url = f"http://127.0.0.1:{mute.getsockname()[1]}/hook"
            slow = api.create_webhook(url=url, watched=watched)
            api.create_webhook(url=receiver.url, watched=watched)
            api.create_tag("ana/m", tag="v1")
            receiver.wait(1)
            (entry,) = hub.deliveries(slow.id)
            assert entry["status"] == "pending"
        assert hub.wait_delivered(60)


def test_a_receiver_that_does_not_answer_is_given_up(tmp_path: Path) -> None:
    with LocalHub(tmp_path, deliveries=DeliveryPolicy(timeout_s=0.3, tries=1)) as hub:
        api = HfApi(endpoint=hub.url, token=hub.create_user("ana"))
        api.create_repo("ana/m")
        hub.faults.add("/hook", "hang", method="POST", hang_s=60)
        hook = api.create_webhook(url=f"{hub.url}/hook", watched=[{"type": "user", "name": "ana"}])
        api.create_tag("ana/m", tag="v1")
        assert hub.wait_delivered(30)
        (entry,) = hub.deliveries(hook.id)
        assert (entry["status"], entry["tries"][0]["error"]) == ("failed", "ReadTimeout")


def test_a_secret_in_the_address_is_not_in_the_log(ana: HfApi, repo: str, hub: LocalHub) -> None:
    hook = ana.create_webhook(
        url="http://127.0.0.1:9/?secret=hush", watched=[{"type": "model", "name": repo}]
    )
    ana.create_tag(repo, tag="v1")
    assert hub.wait_delivered(60)
    (entry,) = hub.deliveries(hook.id)
    assert entry["status"] == "failed" and "hush" not in str(entry)
    ana.delete_webhook(hook.id)


def test_old_hubs_send_no_id(tmp_path: Path, receiver: Receiver) -> None:
    with LocalHub(tmp_path, deliveries=DeliveryPolicy(with_id=False)) as hub:
        api = HfApi(endpoint=hub.url, token=hub.create_user("ana"))
        api.create_webhook(url=receiver.url, watched=[{"type": "user", "name": "ana"}])
        api.create_repo("ana/m")
        (got,) = receiver.wait(1)
        assert "Webhook-Id" not in got.headers and "X-Webhook-Secret" not in got.headers
