"""The embedded broker's folder."""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from queue import Empty
from threading import Thread
from typing import Any

import pytest
from kombu.exceptions import ChannelError

from proctor.queue import folder as folder_module
from proctor.queue.app import App, make_app
from proctor.queue.bounds import QueueFull
from proctor.queue.folder import LEFTOVER_AGE, MAX_BYTES


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "broker"


@pytest.fixture
def app(place: Path) -> App:
    return make_app(f"filesystem://{place}")


@pytest.fixture
def channel(app: App) -> Iterator[Any]:
    with app.connection_for_write() as connection:
        connection.ensure_connection(max_retries=0)
        with connection.channel() as opened:
            yield opened


def message(step_id: str) -> dict[str, Any]:
    return {
        "body": base64.b64encode(step_id.encode()).decode(),
        "headers": {"task": "proctor.check"},
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "properties": {
            "body_encoding": "base64",
            "delivery_tag": step_id,
            "delivery_info": {"exchange": "io", "routing_key": "io"},
        },
    }


def test_first_in_first_out_by_queue(channel: Any) -> None:
    for number in range(3):
        channel._put("io", message(f"io{number}"))
        channel._put("eval", message(f"eval{number}"))
        time.sleep(0.01)  # the order is that of the files' times
    assert channel._size("io") == 3
    assert [channel._get("io")["properties"]["delivery_tag"] for _ in range(3)] == [
        "io0",
        "io1",
        "io2",
    ]
    with pytest.raises(Empty):
        channel._get("io")
    assert channel._size("eval") == 3


def test_the_same_hint_waits_once_and_keeps_its_turn(channel: Any) -> None:
    channel._put("io", message("a"))
    time.sleep(0.01)
    channel._put("io", message("b"))
    time.sleep(0.01)
    channel._put("io", message("a"))
    assert channel._size("io") == 2
    assert channel._get("io")["properties"]["delivery_tag"] == "a"
    channel._put("io", message("a"))  # taken meanwhile: this one is news
    assert channel._size("io") == 2


def test_what_is_taken_leaves_nothing_behind(channel: Any, place: Path) -> None:
    channel._put("io", message("a"))
    assert (place / "io").stat().st_mode & 0o077 == 0
    channel._get("io")
    assert list((place / "io").iterdir()) == []


def test_takers_share_each_message_out_once(app: App) -> None:
    wanted = {f"step{number}" for number in range(200)}
    got: list[str] = []
    end = time.monotonic() + 60

    def take() -> None:
        with app.connection_for_write() as connection, connection.channel() as own:
            while len(got) < len(wanted) and time.monotonic() < end:
                try:
                    got.append(own._get("io")["properties"]["delivery_tag"])
                except Empty:
                    time.sleep(0.001)

    takers = [Thread(target=take) for _ in range(3)]
    for taker in takers:
        taker.start()
    with app.connection_for_write() as connection, connection.channel() as own:
        for step_id in wanted:
            own._put("io", message(step_id))
    for taker in takers:
        taker.join()
    assert sorted(got) == sorted(wanted)


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"[]", b"null", b"\xff", b"[" * 10_000, b"x" * (MAX_BYTES + 1)],
    ids=["empty", "half", "list", "null", "binary", "deep", "huge"],
)
def test_garbage_is_dropped(
    channel: Any, place: Path, text: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    channel._put("io", message("good"))
    path = place / "io" / "garbage.msg"
    path.write_bytes(text)
    os.utime(path, (0, 0))
    assert channel._get("io")["properties"]["delivery_tag"] == "good"
    assert "garbage.msg" in caplog.text
    assert list((place / "io").iterdir()) == []


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("body", None),
        ("body", "not base64!"),
        ("headers", []),
        ("properties", "text"),
        ("properties", {}),
        ("content-type", {}),
    ],
)
def test_a_message_of_a_wrong_shape_is_dropped(
    channel: Any, place: Path, part: str, value: object
) -> None:
    channel._put("io", message("good"))
    path = place / "io" / "bad.msg"
    path.write_text(json.dumps({**message("bad"), part: value}))
    os.utime(path, (0, 0))
    assert channel._get("io")["properties"]["delivery_tag"] == "good"
    assert list((place / "io").iterdir()) == []


def test_a_full_queue_refuses(channel: Any, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_module, "MAX_MESSAGES", 3)
    for number in range(3):
        channel._put("io", message(f"step{number}"))
    with pytest.raises(QueueFull, match="io"):
        channel._put("io", message("one-more"))
    channel._put("eval", message("elsewhere"))


def test_a_fat_message_is_refused(channel: Any) -> None:
    with pytest.raises(ChannelError, match="hint"):
        channel._put("io", message("x" * MAX_BYTES))


def test_a_queue_cannot_leave_the_folder(channel: Any, tmp_path: Path) -> None:
    with pytest.raises(ChannelError):
        channel._put("../outside", message("a"))
    assert not (tmp_path / "outside").exists()


def test_leftovers_of_killed_processes_are_removed_in_time(app: App, place: Path) -> None:
    box = place / "io"
    box.mkdir(parents=True)
    old, young = box / ".old.taken", box / ".young.draft"
    old.touch()
    young.touch()
    past = time.time() - LEFTOVER_AGE - 1
    os.utime(old, (past, past))
    with app.connection_for_read() as connection:
        connection.ensure_connection(max_retries=0)
    assert list(box.iterdir()) == [young]


def test_a_folder_that_cannot_be_used_is_a_connection_error(app: App, place: Path) -> None:
    place.touch()
    with app.connection_for_read() as connection, pytest.raises(connection.connection_errors):
        connection.transport.establish_connection()
