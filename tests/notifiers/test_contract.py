"""Every built-in channel keeps the contract of a notifier."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable

import pytest

from proctor.core.secret import Secret
from proctor.notifiers.apprise import AppriseNotifier, AppriseParameters
from proctor.notifiers.log import LogNotifier, LogParameters
from proctor.notifiers.webhook import WebhookNotifier, WebhookParameters
from proctor.testing.contracts.notifier import Line, NotifierContract

from .conftest import Receiver

KEY = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
TOKEN = "geheim-0815"


def texts(receiver: Receiver) -> Callable[[], list[str]]:
    """Each body that arrived, with all that its strings hold as it is."""

    def read(value: object) -> str:
        if isinstance(value, dict):
            return "\n".join(map(read, value.values()))
        return "\n".join(map(read, value)) if isinstance(value, list) else str(value)

    return lambda: [read(json.loads(got.body)) for got in receiver.got]


def refusing(receiver: Receiver) -> Callable[[], None]:
    """The server answers 404 from then on."""
    return lambda: setattr(receiver, "status", 404)


def hanging(receiver: Receiver) -> Callable[[], None]:
    """The server answers no more."""
    return lambda: setattr(receiver, "hang", threading.Event())


@pytest.fixture
def patience(request: pytest.FixtureRequest) -> float:
    """Seconds to wait for an answer: few only where none comes."""
    return 1 if "hangs" in request.node.name else 30


class TestLog(NotifierContract):
    """`log`."""

    @pytest.fixture
    def line(self, caplog: pytest.LogCaptureFixture) -> Line:
        """The log cannot refuse."""
        caplog.set_level(logging.INFO, "proctor.notices")
        return Line(LogNotifier(LogParameters()), lambda: [r.getMessage() for r in caplog.records])


class TestWebhook(NotifierContract):
    """`webhook`."""

    @pytest.fixture
    def line(self, receiver: Receiver, patience: float) -> Line:
        """A server of our own."""
        parameters = WebhookParameters(
            url=Secret(f"{receiver.url}/{TOKEN}"), secret=Secret(KEY), timeout=patience
        )
        notifier = WebhookNotifier(parameters)
        ends = refusing(receiver), hanging(receiver)
        return Line(notifier, texts(receiver), *ends, secrets=(TOKEN, KEY))


# apprise imports the standard library's imghdr, which is on its way out.
@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
class TestApprise(NotifierContract):
    """`apprise`."""

    @pytest.fixture
    def line(self, receiver: Receiver, patience: float) -> Line:
        """A server of our own, as a service that apprise knows."""
        url = f"{receiver.url.replace('http', 'json')}/{TOKEN}"
        notifier = AppriseNotifier(AppriseParameters(url=Secret(url), timeout=patience))
        ends = refusing(receiver), hanging(receiver)
        return Line(notifier, texts(receiver), *ends, secrets=(TOKEN,))
