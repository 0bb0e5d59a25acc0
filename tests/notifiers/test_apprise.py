"""Apprise is bounded in time and keeps its URLs to itself."""

from __future__ import annotations

import json
import logging
import socket
import threading
import time

import pytest
from pydantic import ValidationError

from proctor.core.errors import PermanentError, TransientError
from proctor.core.notice import Notice
from proctor.core.secret import Secret
from proctor.notifiers.apprise import AppriseNotifier, AppriseParameters

from .conftest import Receiver

# apprise imports the standard library's imghdr, which is on its way out.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")


def notifier(*urls: str, timeout: float = 60, service: str | None = None) -> AppriseNotifier:
    parameters = AppriseParameters(urls=list(map(Secret, urls)), timeout=timeout, service=service)
    return AppriseNotifier(parameters)


def json_url(receiver: Receiver, path: str = "in") -> str:
    return f"{receiver.url.replace('http', 'json')}/{path}"


def test_a_notice_arrives(receiver: Receiver, notice: Notice) -> None:
    notifier(json_url(receiver)).send(notice)
    (got,) = receiver.got
    body = json.loads(got.body)
    assert body["title"] == notice.title
    assert body["type"] == "failure"
    assert notice.text in body["message"]
    assert "repo: acme/bot\nleft by Proctor at: bbbbbbbb" in body["message"]
    assert body["message"].endswith(notice.link)


def test_every_url_gets_it_even_when_one_fails(receiver: Receiver, notice: Notice) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        dead = f"json://127.0.0.1:{taken.getsockname()[1]}/geheim-path-1"
        with pytest.raises(TransientError, match="JSON: not sent") as caught:
            notifier(dead, json_url(receiver, "geheim-path-2")).send(notice)
    assert len(receiver.got) == 1
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize("status", [401, 404, 500])
def test_a_refusal_is_told_with_its_reason(receiver: Receiver, notice: Notice, status: int) -> None:
    receiver.status = status
    with pytest.raises(TransientError, match=rf"JSON: not sent: .*{status}"):
        notifier(json_url(receiver)).send(notice)


def test_a_hanging_service_is_left(receiver: Receiver, notice: Notice) -> None:
    receiver.hang = threading.Event()
    start = time.monotonic()
    with pytest.raises(TransientError, match=r"no answer within 0\.4 s"):
        notifier(json_url(receiver), timeout=0.4).send(notice)
    assert time.monotonic() - start < 15


def test_nothing_secret_is_logged(
    receiver: Receiver,
    notice: Notice,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    receiver.status = 500
    url = json_url(receiver, "geheim-path").replace("json://", "json://me:geheim-word@")
    with caplog.at_level(logging.DEBUG):
        sender = notifier(url)
        with pytest.raises(TransientError) as caught:
            sender.send(notice)
    out, err = capfd.readouterr()
    assert "geheim" not in caplog.text + out + err + str(caught.value)


def test_a_url_that_apprise_cannot_use_is_refused_unseen(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.DEBUG), pytest.raises(PermanentError, match="URL 1 of 1") as e:
        notifier("nosuchservice://geheim")
    out, err = capfd.readouterr()
    assert "geheim" not in caplog.text + out + err + str(e.value)


def test_the_service_has_to_be_the_one_asked_for(receiver: Receiver) -> None:
    slack = "https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"
    assert notifier(slack, service="slack")
    with pytest.raises(PermanentError, match="belongs to JSON, not to slack"):
        notifier(json_url(receiver), service="slack")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "missing"),
        ({"url": "geheim"}, "is not a URL"),
        ({"urls": ["json://h", "geheim"]}, "is not a URL"),
        ({"url": "json://h", "timeout": 0}, "greater than 0"),
        ({"url": "json://h", "geheim": 1}, "not permitted"),
    ],
)
def test_bad_parameters_are_refused_unseen(given: dict[str, object], told: str) -> None:
    with pytest.raises(ValidationError, match=told) as caught:
        AppriseParameters.model_validate(given)
    assert "geheim" not in str(caught.value).replace("geheim\n  Extra", "")
