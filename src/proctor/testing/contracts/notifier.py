"""What every implementation of `proctor.ports.notifier.Notifier` has to keep."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import pytest

from proctor.core.errors import PermanentError, TransientError
from proctor.core.notice import Notice, Severity
from proctor.ports.notifier import Notifier

BOUND = 150.0
"""Seconds that one `send` may take at the most, its peer hanging."""

NOTICE = Notice(
    key="run.held:01J0000000000000000000000A",
    kind="run.held",
    severity=Severity.FAILURE,
    title="acme/bot@aaaaaaaa did not pass",
    text="the first line of the text\nthe second line of it",
    facts=(("repo", "acme/bot"), ("left by Proctor at", "bbbbbbbb")),
    link="https://hub.example/acme/bot",
)


@dataclass(frozen=True, slots=True)
class Line:
    """A channel on trial.

    `arrived` gives what reached the other end, one text for each notice, oldest first. `refuse`
    makes the other end refuse from now on; `hang` makes it take connections and never answer. None
    for a channel to which that cannot happen. `secrets` are the credentials it was given.
    """

    notifier: Notifier
    arrived: Callable[[], Sequence[str]]
    refuse: Callable[[], None] | None = None
    hang: Callable[[], None] | None = None
    secrets: Sequence[str] = ()


class NotifierContract:
    """Subclass, and override `line`."""

    @pytest.fixture
    def line(self) -> Line:
        """The channel, and both ends of it."""
        raise NotImplementedError

    def test_all_that_is_said_arrives(self, line: Line) -> None:
        line.notifier.send(NOTICE)
        (text,) = line.arrived()
        facts = [text for _, text in NOTICE.facts]
        for part in (NOTICE.title, *NOTICE.text.splitlines(), *facts, NOTICE.link):
            assert part in text

    @pytest.mark.parametrize("severity", list(Severity))
    def test_every_severity_can_be_sent(self, line: Line, severity: Severity) -> None:
        line.notifier.send(replace(NOTICE, severity=severity))
        assert len(line.arrived()) == 1

    def test_the_least_that_can_be_said_can_be_sent(self, line: Line) -> None:
        line.notifier.send(replace(NOTICE, text="", facts=(), link=""))
        (text,) = line.arrived()
        assert NOTICE.title in text

    def test_awkward_text_can_be_sent(self, line: Line) -> None:
        for text in (
            "✗ “näh” 模型 \U0001f916",
            "<b>&amp;</b> *_`~ {0} %s",
            "x" * 5000,
            "\x00\x1b[31m",
        ):
            line.notifier.send(replace(NOTICE, text=text))
        assert len(line.arrived()) >= 4  # some split what is long

    def test_the_same_notice_may_be_sent_again(self, line: Line) -> None:
        line.notifier.send(NOTICE)
        line.notifier.send(NOTICE)
        assert len(line.arrived()) == 2

    def test_a_refusal_is_told_as_an_error_without_any_secret(self, line: Line) -> None:
        if line.refuse is None:
            pytest.skip("nobody can refuse it")
        line.refuse()
        with pytest.raises((TransientError, PermanentError)) as caught:
            line.notifier.send(NOTICE)
        told = "".join(traceback.format_exception(caught.value))
        assert not [secret for secret in line.secrets if secret in told]

    def test_a_peer_that_hangs_is_given_up_in_time(self, line: Line) -> None:
        if line.hang is None:
            pytest.skip("nobody can keep it waiting")
        line.hang()
        began = time.monotonic()
        with pytest.raises(TransientError) as caught:
            line.notifier.send(NOTICE)
        assert time.monotonic() - began < BOUND
        told = "".join(traceback.format_exception(caught.value))
        assert not [secret for secret in line.secrets if secret in told]

    def test_it_shows_no_secret(self, line: Line) -> None:
        shown = f"{line.notifier!r} {line.notifier} {getattr(line.notifier, '__dict__', '')!r}"
        assert not [secret for secret in line.secrets if secret in shown]
