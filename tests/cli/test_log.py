"""What running parts say on stderr holds no secret."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from proctor.cli.log import log_to_stderr
from proctor.settings import Settings
from proctor.wiring import Wiring

if TYPE_CHECKING:
    from tests.cli.conftest import Cli

RULES = """\
pipelines:
  - name: licences
    match: {repo: "acme/*"}
    checks: [{use: card, with: {licences: [mit]}}]
    gate: [{metric: card/license_allowed, at_least: 1}]
    notify: [team]
channels:
  team: {use: webhook, url: "env:HOOK", secret: "env:SIGNED"}
"""

SECRETS = {
    "HF_TOKEN": "a-token-that-looks-like-none",
    "PROCTOR_WEBHOOK_SECRETS": "first-secret,second-secret",
    "PROCTOR_DATABASE_URL": "postgresql+psycopg://proctor:of-the-database@db.example/proctor",
    "PROCTOR_BROKER_URL": "redis://:of-the-broker@broker.example/0",
    "HOOK": "https://hooks.example/services/of-the-channel",
}
WORDS = ("that-looks-like-none", "first-secret", "second-secret", "of-the-")


def test_a_log_line_and_its_traceback_hold_no_secret(
    cli: Cli, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cli.configured(RULES)
    monkeypatch.setenv("HOOK", SECRETS["HOOK"])
    monkeypatch.setenv("SIGNED", f"whsec_{'b2Yt' * 8}")
    config = str(cli.folder / "proctor.yaml")
    wiring = Wiring(Settings.from_environment(cli.environ | SECRETS | {"PROCTOR_CONFIG": config}))
    assert wiring.rules.channels
    log_to_stderr(wiring, "io")
    try:
        raise ValueError(f"refused: {SECRETS}")
    except ValueError:
        logging.getLogger("proctor.flow").exception("%s of-the-database %s", 1, [*SECRETS.values()])
    said = capsys.readouterr().err
    assert "Traceback" in said and said.count("***") > len(SECRETS)
    assert [word for word in WORDS if word in said] == []


def test_what_others_wrote_neither_steers_the_terminal_nor_passes_for_a_line(
    cli: Cli, capsys: pytest.CaptureFixture[str]
) -> None:
    log_to_stderr(Wiring(Settings.from_environment(cli.environ)), "io")
    evil = "404: \x1b[2J\x1b]0;mine\x07 \u202e\x9b\r\n12:00:00 io INFO forged\u2028\n\tand so on"
    try:
        raise ValueError(evil)
    except ValueError:
        logging.getLogger("proctor.flow").exception("again in 3 s: %s", evil)
    said = capsys.readouterr().err
    assert all(character.isprintable() or character == "\n" for character in said)
    first, *rest = said.splitlines()
    assert first.endswith(r"again in 3 s: 404: \x1b[2J\x1b]0;mine\x07 \u202e\x9b\r")
    assert any("forged" in line for line in rest)
    assert [line for line in rest if not line.startswith("  ")] == []
