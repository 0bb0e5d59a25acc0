"""What was answered stays, whatever happens to the process."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
from huggingface_hub import CommitOperationAdd, HfApi, WebhookWatchedItem

import proctor.localhub
from proctor.localhub import FolderInUse, LocalHub

from .conftest import FAST, Receiver

SOURCE = Path(proctor.localhub.__file__).parents[2]


@contextmanager
def command(root: Path) -> Iterator[tuple["subprocess.Popen[str]", HfApi]]:
    """The command in a process of its own, and a client with its write token."""
    code = (
        "import sys, pathlib; from proctor.localhub.command import serve;"
        "serve(pathlib.Path(sys.argv[1]), port=0, cdn_port=0)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(root)],
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        printed = ""
        while "Stop it" not in printed:
            line = process.stdout.readline()
            assert line, f"it ended: {printed}"
            printed += line
        tokens = json.loads((root / "tokens.json").read_text())
        assert tokens["write"] in printed and tokens["read"] in printed
        told = re.search(r"HF_ENDPOINT=(http://127\.0\.0\.1:\d+) ", printed)
        assert told
        _await_answer(told[1])
        yield process, HfApi(endpoint=told[1], token=tokens["write"])
    finally:
        process.kill()
        process.communicate()


def _await_answer(url: str) -> None:
    deadline = time.monotonic() + 120
    while True:
        try:
            httpx2.get(url, timeout=5)
        except httpx2.TransportError:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        else:
            return


def test_a_restart_keeps_everything(tmp_path: Path, receiver: Receiver, cache: Path) -> None:
    root = tmp_path / "hub"
    with LocalHub(root, deliveries=FAST) as hub:
        token = hub.create_user("ana", orgs=["acme"])
        admin = hub.admin_token
        api = HfApi(endpoint=hub.url, token=token)
        api.create_repo("acme/m")
        api.upload_file(path_or_fileobj=b"weights", path_in_repo="w.bin", repo_id="acme/m")
        api.create_tag("acme/m", tag="v1")
        api.create_discussion("acme/m", "Hello", description="x")
        watched: list[dict[str, str] | WebhookWatchedItem] = [{"type": "org", "name": "acme"}]
        hook = api.create_webhook(url="http://127.0.0.1:9/", watched=watched)
        api.move_repo("acme/m", "acme/n")
        refs, events = api.list_repo_refs("acme/n"), hub.deliveries(hook.id)
        assert len(events) == 1
        port = int(hub.url.rpartition(":")[2])

    with LocalHub(root, port=port, deliveries=FAST) as hub:
        assert (hub.url, hub.admin_token) == (api.endpoint, admin)
        assert api.list_repo_refs("acme/m") == refs
        path = api.hf_hub_download("acme/n", "w.bin", cache_dir=cache)
        assert Path(path).read_bytes() == b"weights"
        assert api.get_discussion_details("acme/n", 1).title == "Hello"
        # The delivery that could not be made goes where the webhook points now.
        api.update_webhook(hook.id, url=receiver.url, watched=watched)
        if not receiver.received:
            hub.replay(hook.id, events[0]["id"])
        assert receiver.wait(1)[0].headers["Webhook-Id"] == events[0]["id"]


def test_a_folder_is_served_once(tmp_path: Path) -> None:
    with LocalHub(tmp_path), pytest.raises(FolderInUse):
        LocalHub(tmp_path).start()
    with LocalHub(tmp_path):
        pass


def test_a_port_in_use_is_an_error_at_the_start(tmp_path: Path) -> None:
    with LocalHub(tmp_path / "a") as hub:
        other = LocalHub(tmp_path / "b", port=int(hub.url.rpartition(":")[2]))
        with pytest.raises(OSError, match="in use"):
            other.start()


def test_what_was_answered_survives_a_kill(tmp_path: Path) -> None:
    """Commits and tags until the process is killed in the middle: all answered ones are there,
    and the next process starts cleanly and goes on."""
    root = tmp_path / "hub"
    answered: list[tuple[str, str]] = []
    with command(root) as (process, api):
        api.create_repo("acme/m")

        def push() -> None:
            number = 0
            try:
                while True:
                    content = os.urandom(50_000)
                    added = CommitOperationAdd(f"{number}.bin", content)
                    commit = api.create_commit("acme/m", [added], commit_message=str(number))
                    api.create_tag("acme/m", tag=f"v{number}", revision=commit.oid)
                    answered.append((f"v{number}", commit.oid))
                    number += 1
            except httpx2.TransportError:
                pass

        pusher = threading.Thread(target=push)
        pusher.start()
        while len(answered) < 10 and pusher.is_alive():
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
        pusher.join()

    with command(root) as (_, api):
        tags = {ref.name: ref.target_commit for ref in api.list_repo_refs("acme/m").tags}
        assert len(answered) >= 10
        for name, sha in answered:
            assert tags[name] == sha
        folder = api.snapshot_download("acme/m", cache_dir=tmp_path / "cache")
        files = api.model_info("acme/m", files_metadata=True).siblings or []
        for item in files:
            assert (Path(folder) / item.rfilename).stat().st_size == item.size
        api.create_tag("acme/m", tag="after")
    assert oct((root / "tokens.json").stat().st_mode)[-3:] == "600"


def test_the_command_ends_when_asked(tmp_path: Path) -> None:
    with command(tmp_path / "hub") as (process, api):
        assert api.whoami()["name"] == "local"
        assert [org["name"] for org in api.whoami()["orgs"]] == ["acme"]
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)
