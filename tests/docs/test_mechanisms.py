"""Each promise rests on mechanisms, each with a file and a test that breaks without it."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pytest

from .conftest import ROOT

PAGE = ROOT / "docs" / "reference" / "mechanisms.md"
PLACES = (ROOT / "tests", ROOT / "src" / "proctor")


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a table on the page: what the mechanism is, where, and which tests break."""

    mechanism: str
    files: tuple[str, ...]
    tests: tuple[tuple[str, str], ...]


def rows() -> list[Row]:
    """The lines of all tables."""
    found = []
    for line in PAGE.read_text("utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| ") and cells[1:] != ["in", "what breaks without it"]:
            mechanism, where, tests = cells
            names = re.findall(r"`([^`]+)::(\w+)`", tests)
            found.append(Row(mechanism, tuple(re.findall(r"`([^`]+)`", where)), tuple(names)))
    return found


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.mechanism)
def test_the_file_and_the_tests_of_a_mechanism_exist(row: Row) -> None:
    assert row.files
    assert [f for f in row.files if not (ROOT / "src" / "proctor" / f).is_file()] == []
    assert row.tests
    for file, name in row.tests:
        texts = [(p / file).read_text("utf-8") for p in PLACES if (p / file).is_file()]
        assert texts, f"there is no {file}"
        assert re.search(rf"\bdef {name}\(", texts[0]), f"{file} has no {name}"


def test_every_promise_has_its_mechanisms() -> None:
    promises = (ROOT / "docs" / "promises.md").read_text("utf-8")
    told = re.findall(r"^## (P\d .+)$", promises, re.MULTILINE)
    sections = PAGE.read_text("utf-8").split("\n## ")[1:]
    titles = [section.partition("\n")[0] for section in sections]
    assert titles[: len(told)] == told
    lines = [section.count("\n| ") for section in sections]
    assert min(lines) > 1  # the first is the head of the table
    assert sum(lines) - len(lines) == len(rows())
