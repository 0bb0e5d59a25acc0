"""The default channel writes to the log."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest

from proctor.core.notice import Notice, Severity
from proctor.notifiers.log import LogNotifier, LogParameters


@pytest.mark.parametrize(
    ("severity", "level"),
    [
        (Severity.INFO, logging.INFO),
        (Severity.SUCCESS, logging.INFO),
        (Severity.WARNING, logging.WARNING),
        (Severity.FAILURE, logging.ERROR),
    ],
)
def test_a_notice_is_one_readable_record(
    notice: Notice, caplog: pytest.LogCaptureFixture, severity: Severity, level: int
) -> None:
    with caplog.at_level(logging.INFO):
        LogNotifier(LogParameters()).send(replace(notice, severity=severity))
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("proctor.notices", level)
    first, *rest = record.getMessage().splitlines()
    assert first == (
        "acme/bot@aaaaaaaa did not pass [run.held] repo=acme/bot left_by_Proctor_at=bbbbbbbb"
    )
    assert [line.strip() for line in rest] == [notice.text, notice.link]
    assert record.__dict__["key"] == notice.key


def test_a_token_that_strayed_into_a_notice_is_not_logged(
    notice: Notice, caplog: pytest.LogCaptureFixture
) -> None:
    LogNotifier(LogParameters()).send(replace(notice, text="401 for hf_abcdefgh12345678"))
    assert "hf_abc" not in caplog.text
    assert "401 for ***" in caplog.text


def test_percent_signs_are_only_text(notice: Notice, caplog: pytest.LogCaptureFixture) -> None:
    LogNotifier(LogParameters()).send(replace(notice, title="100%s %d sure"))
    assert "100%s %d sure" in caplog.text


def test_what_a_pusher_wrote_makes_no_line_of_its_own(
    notice: Notice, caplog: pytest.LogCaptureFixture
) -> None:
    evil = "so\r\n12:00:00 forged\x1b[2J"
    LogNotifier(LogParameters()).send(
        replace(notice, title=evil, facts=((evil, evil),), text=evil, link=evil)
    )
    first, *rest = caplog.records[0].getMessage().split("\n")
    assert first.startswith(r"so 12:00:00 forged\x1b[2J [run.held] ")
    assert rest == ["  so", r"  12:00:00 forged\x1b[2J"] * 2
