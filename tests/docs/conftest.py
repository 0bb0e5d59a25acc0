"""The pages, and what is fenced in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("fixtures/*.md")])

_FENCE = re.compile(r"^```(?P<told>[^\n`]*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Fence:
    """A fenced block: `told` is what stands behind the opening fence ("yaml", "yaml task")."""

    page: Path
    line: int
    told: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def fences(page: Path) -> Iterator[Fence]:
    """The fenced blocks of a page; indented ones are moved to the left."""
    text = re.sub(r"^ +(?=```)", "", page.read_text("utf-8"), flags=re.MULTILINE)
    for found in _FENCE.finditer(text):
        line = text.count("\n", 0, found.start()) + 1
        yield Fence(page, line, found["told"].strip(), found["text"])


def all_fences(*languages: str) -> list[Fence]:
    """The blocks whose first word is one of `languages`."""
    return [f for p in PAGES for f in fences(p) if (f.told.split() or [""])[0] in languages]


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return _FENCE.sub("", page.read_text("utf-8"))


def named(path: Path) -> str:
    """How a page is called in a test's name."""
    return str(path.relative_to(ROOT))
