"""The webhook is signed as the standard says, bounded in time, and sorts its failures."""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
import traceback
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from pydantic import ValidationError
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from proctor.core.errors import PermanentError, TransientError
from proctor.core.notice import Notice, Severity
from proctor.core.secret import Secret
from proctor.notifiers.webhook import WebhookNotifier, WebhookParameters

from .conftest import Receiver

KEY = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def notifier(url: str, timeout: float = 60) -> WebhookNotifier:
    return WebhookNotifier(WebhookParameters(url=Secret(url), secret=Secret(KEY), timeout=timeout))


def test_the_standard_library_verifies_it(receiver: Receiver, notice: Notice) -> None:
    notifier(f"{receiver.url}/in?team=ml").send(notice)
    (got,) = receiver.got
    assert got.path == "/in?team=ml"
    body = Webhook(KEY).verify(got.body, got.headers)
    assert body["type"] == "run.held"
    assert datetime.fromisoformat(body["timestamp"]).tzinfo is not None
    assert body["data"] == {
        "key": "run.held:01J",
        "severity": "failure",
        "title": notice.title,
        "text": notice.text,
        "facts": [
            {"label": "repo", "text": "acme/bot"},
            {"label": "left by Proctor at", "text": "bbbbbbbb"},
        ],
        "link": notice.link,
    }
    assert got.headers["Content-Type"] == "application/json"


def test_a_changed_body_or_id_does_not_verify(receiver: Receiver, notice: Notice) -> None:
    notifier(receiver.url).send(notice)
    (got,) = receiver.got
    for body, headers in (
        (got.body.replace(b"acme", b"evil"), got.headers),
        (got.body, got.headers | {"Webhook-Id": "other"}),
    ):
        with pytest.raises(WebhookVerificationError):
            Webhook(KEY).verify(body, headers)


def test_the_id_is_the_same_on_every_try_and_has_no_full_stop(
    receiver: Receiver, notice: Notice
) -> None:
    sender = notifier(receiver.url)
    sender.send(notice)
    sender.send(notice)
    sender.send(replace(notice, key="run.held:ä\r\nx: y"))
    ids = [{k.lower(): v for k, v in got.headers.items()}["webhook-id"] for got in receiver.got]
    assert ids[0] == ids[1] == "run_held:01J"
    assert ids[2] == "run_held:%C3%A4%0D%0Ax:%20y"


@pytest.mark.parametrize("status", [200, 202, 204])
def test_any_2xx_is_a_success(receiver: Receiver, notice: Notice, status: int) -> None:
    receiver.status = status
    notifier(receiver.url).send(notice)
    assert len(receiver.got) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 422])
def test_a_refusal_is_final(receiver: Receiver, notice: Notice, status: int) -> None:
    receiver.status = status
    with pytest.raises(PermanentError, match=str(status)):
        notifier(receiver.url).send(notice)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503])
def test_a_bad_moment_is_tried_again(receiver: Receiver, notice: Notice, status: int) -> None:
    receiver.status = status
    with pytest.raises(TransientError, match=str(status)) as caught:
        notifier(receiver.url).send(notice)
    assert caught.value.delay is None


@pytest.mark.parametrize(
    ("written", "low", "high"),
    [
        ("17", 17, 17),
        ("9999999999", 86_400, 86_400),
        (timedelta(seconds=600), 500, 600),
        (timedelta(days=-1), 0, 0),
    ],
    ids=["seconds", "absurd", "date", "past"],
)
def test_retry_after_is_honoured(
    receiver: Receiver, notice: Notice, written: str | timedelta, low: float, high: float
) -> None:
    if isinstance(written, timedelta):  # from now, not from when the tests were collected
        written = format_datetime(datetime.now(UTC) + written, usegmt=True)
    receiver.status, receiver.headers = 429, {"Retry-After": written}
    with pytest.raises(TransientError) as caught:
        notifier(receiver.url).send(notice)
    assert caught.value.delay is not None
    assert low <= caught.value.delay <= high


def test_an_unreadable_retry_after_is_ignored(receiver: Receiver, notice: Notice) -> None:
    receiver.status, receiver.headers = 503, {"Retry-After": "soon"}
    with pytest.raises(TransientError) as caught:
        notifier(receiver.url).send(notice)
    assert caught.value.delay is None


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(receiver: Receiver, notice: Notice, status: int) -> None:
    receiver.status, receiver.headers = status, {"Location": f"{receiver.url}/elsewhere"}
    with pytest.raises(PermanentError, match="redirect"):
        notifier(f"{receiver.url}/here").send(notice)
    assert [got.path for got in receiver.got] == ["/here"]


def test_a_hanging_server_is_left(receiver: Receiver, notice: Notice) -> None:
    receiver.hang = threading.Event()
    start = time.monotonic()
    with pytest.raises(TransientError):
        notifier(receiver.url, timeout=0.4).send(notice)
    assert time.monotonic() - start < 15


def test_a_dripping_server_is_left(receiver: Receiver, notice: Notice) -> None:
    """Each byte comes in time; the answer never does."""
    receiver.drip = True
    start = time.monotonic()
    with pytest.raises(TransientError, match="no answer within"):
        notifier(receiver.url, timeout=0.5).send(notice)
    assert time.monotonic() - start < 15


def test_nobody_there_is_tried_again(notice: Notice) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: connections are refused
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/geheim-path"
        with pytest.raises(TransientError, match="refused") as caught:
            notifier(url).send(notice)
    assert "geheim" not in "".join(traceback.format_exception_only(caught.value))
    assert caught.value.__cause__ is None


def test_nothing_secret_is_logged(
    receiver: Receiver, notice: Notice, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        notifier(f"{receiver.url}/geheim-path").send(notice)
    assert "geheim" not in caplog.text
    assert KEY not in caplog.text


@pytest.mark.parametrize(
    ("url", "key", "told"),
    [
        ("ftp://x.example", KEY, "not an http"),
        ("https://", KEY, "not an http"),
        ("https://x.example:99999", KEY, "not an http"),
        ("https://x.example/ä", KEY, "not an http"),
        ("https://x.example/a b\n", KEY, "not an http"),
        ("https://me:geheim@x.example", KEY, "user or password"),
        ("https://x.example", "geheim", "whsec_"),
        ("https://x.example", "whsec_geheim", "24 to 64"),
        ("https://x.example", "whsec_" + "A" * 120, "24 to 64"),
    ],
)
def test_bad_parameters_are_refused_unseen(url: str, key: str, told: str) -> None:
    with pytest.raises(ValidationError, match=told) as caught:
        WebhookParameters.model_validate({"url": url, "secret": key})
    assert "geheim" not in str(caught.value)


def test_the_body_is_json_for_any_text(receiver: Receiver, notice: Notice) -> None:
    notifier(receiver.url).send(replace(notice, text='"\\\u2028 \x00 💥'))
    assert json.loads(receiver.got[0].body)["data"]["text"] == '"\\\u2028 \x00 💥'


def test_what_went_wrong_is_told_in_plain_words() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        with pytest.raises(TransientError, match=r"^not delivered: connection refused$"):
            notifier(f"http://127.0.0.1:{taken.getsockname()[1]}").send(
                Notice("k", "kind", Severity.INFO, "title", "text")
            )
