"""The guides name only what exists."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from proctor.queue.bounds import MAX_MESSAGES
from proctor.queue.waker import PATIENCE, PAUSE
from proctor.queue.worker import EXIT_ABANDONED, GRACE, LAST
from proctor.settings import declared

GUIDES = ("deploy.md", "operate.md")


@pytest.mark.parametrize("guide", GUIDES)
def test_every_variable_exists(root: Path, guide: str) -> None:
    text = (root / "docs/howto" / guide).read_text(encoding="utf-8")
    known = {setting.variable for setting in declared().values()}
    known |= {f"{s.variable}_FILE" for s in declared().values() if s.secret}
    known |= {"PROCTOR_PIPELINES"}  # of docker-compose.yml alone
    assert set(re.findall(r"\b(?:PROCTOR|HF)_[A-Z_]+\b", text)) <= known


@pytest.mark.parametrize("guide", GUIDES)
def test_every_command_exists(root: Path, guide: str) -> None:
    text = (root / "docs/howto" / guide).read_text(encoding="utf-8")
    named = set(re.findall(r"(?<![/\w.-])proctor ([a-z]+)(?![\w.@:/])", text))
    assert named
    for command in named:
        done = subprocess.run(
            [sys.executable, "-m", "proctor", command, "--help"], capture_output=True
        )
        assert done.returncode == 0, command


@pytest.mark.parametrize("guide", GUIDES)
def test_every_link_leads_somewhere(root: Path, guide: str) -> None:
    page = root / "docs/howto" / guide
    for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
        assert target.startswith("https://") or (page.parent / target).exists(), target


def test_the_numbers_are_those_of_the_code(root: Path) -> None:
    text = (root / "docs/howto/operate.md").read_text(encoding="utf-8")
    assert f"not stopped after {GRACE:g} s" in text
    assert f"after {GRACE + LAST:g} s at the most" in text
    assert f"exit status {EXIT_ABANDONED}" in text
    assert f"{MAX_MESSAGES:,} per queue" in text
    assert (PATIENCE, PAUSE) == (3.0, 5.0), "written out: three seconds, five seconds"
