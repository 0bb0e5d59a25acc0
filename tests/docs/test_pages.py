"""What the pages show works: links, commands, configurations, code."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from proctor.cli.main import app
from proctor.config import load

from .conftest import PAGES, ROOT, Fence, all_fences, named, prose

HEADINGS = ["Drivers", "Options", "Outcome", "Consequences"]
DECISIONS = sorted((ROOT / "docs" / "adr").glob("*.md"))
SHELL = ("sh", "ini", "console")


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    kept = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in kept}


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_link_leads_somewhere(page: Path) -> None:
    lost = []
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"https?://|mailto:", target):
            continue
        path, _, anchor = target.partition("#")
        to = (page.parent / path).resolve() if path else page
        if not to.exists() or (anchor and anchor not in anchors(to)):
            lost.append(target)
    assert not lost


def test_every_page_can_be_reached_from_the_index() -> None:
    index = (ROOT / "docs" / "README.md").read_text("utf-8")
    linked = {(ROOT / "docs" / to).resolve() for to in re.findall(r"\]\(([^)#\s]+)\)", index)}
    assert {p for p in PAGES if ROOT / "docs" in p.parents} - linked == {ROOT / "docs/README.md"}


@pytest.mark.parametrize("page", DECISIONS, ids=named)
def test_every_decision_has_its_parts(page: Path) -> None:
    text = page.read_text("utf-8")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == HEADINGS
    assert re.match(rf"# {page.name[:4]} \S.*\n\nStatus: (accepted|superseded by \[)", text)
    assert len(text.splitlines()) < 60


def test_decisions_are_numbered_without_a_gap() -> None:
    assert [p.name[:4] for p in DECISIONS] == [f"{n:04}" for n in range(1, len(DECISIONS) + 1)]


def test_tests_that_promises_name_exist() -> None:
    text = (ROOT / "docs" / "promises.md").read_text("utf-8")
    files = re.findall(r"`(\w+/test_\w+\.py)`", text)
    assert len(files) > 20
    assert [f for f in files if not (ROOT / "tests" / f).exists()] == []
    for promise in text.split("\n## P")[1:]:
        assert "\nTests: " in promise, promise.split("\n", 1)[0]


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_file_of_the_source_that_a_page_names_exists(page: Path) -> None:
    if page.name == "CHANGELOG.md":
        return
    rooms = "core|ports|flow|ledger|hub|queue|checks|notifiers|localhub|web|testing|cli|config"
    files = re.findall(rf"`((?:{rooms})/(?!test_)[\w/]+\.py)`", page.read_text("utf-8"))
    assert [f for f in files if not (ROOT / "src" / "proctor" / f).exists()] == []


def command_lines() -> list[tuple[str, str]]:
    """Each different `proctor …` of the pages, with a place where it stands."""
    found: dict[str, str] = {}
    for fence in all_fences(*SHELL):
        for line in fence.text.splitlines():
            said = re.search(r"(?:^|[\s/])proctor ([a-z-].*)$", line)
            if said:
                found.setdefault(said[1], str(fence))
    for page in PAGES:
        for said in re.finditer(r"`proctor ([^`\n]+)`", prose(page)):
            found.setdefault(said[1], named(page))
    return [(line, place) for line, place in found.items() if "…" not in line]


@pytest.mark.parametrize(("line", "place"), command_lines())
def test_every_command_line_exists(line: str, place: str) -> None:
    words = shlex.split(line, comments=True)
    command: Any = typer.main.get_command(app)
    called = ["proctor"]
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        assert words[0] in command.commands, f"{place}: proctor {line}"
        called.append(words.pop(0))
        command = command.commands[called[-1]]
    known = {name for parameter in command.params for name in parameter.opts}
    options = {word.partition("=")[0] for word in words if word.startswith("-")}
    assert options <= known | {"--help", "-h"}, f"{place}: proctor {line}"
    if words and not hasattr(command, "commands") and not options & {"--help", "-h"}:
        # Raises a usage error for an argument that is missing or too many.
        command.make_context(" ".join(called), words)


def configurations(*told: str) -> list[Fence]:
    return [f for f in all_fences("yaml") if f.told in told]


def written(fence: Fence, folder: Path) -> Path:
    """The block as a file, with the folders that it names beside it."""
    for name in re.findall(r"include_path: ([^,}\s]+)", fence.text):
        (folder / name).mkdir(parents=True, exist_ok=True)
    path = folder / "proctor.yaml"
    path.write_text(fence.text, "utf-8")
    return path


def environ(fence: Fence) -> dict[str, str]:
    """Something for each variable that a channel names."""
    values = {"SECRET": "whsec_" + "A" * 32}
    url = "https://hooks.slack.com/services/a/b/c"
    names = re.findall(r"env:(\w+)", fence.text)
    return {name: values.get(name.rpartition("_")[2], url) for name in names}


@pytest.mark.parametrize("fence", configurations("yaml"), ids=str)
def test_every_configuration_loads(fence: Fence, tmp_path: Path) -> None:
    assert load(written(fence, tmp_path), environ(fence)).pipelines


def test_yaml_that_is_no_configuration_says_what_it_is() -> None:
    known = ("yaml", "yaml fragment", "yaml plugin", "yaml task")
    assert [str(f) for f in all_fences("yaml") if f.told not in known] == []


@pytest.mark.parametrize("fence", all_fences("json"), ids=str)
def test_every_json_is_json(fence: Fence) -> None:
    for line in [fence.text] if fence.text.startswith("{\n") else fence.text.splitlines():
        json.loads(line)


@pytest.mark.parametrize("fence", all_fences("python"), ids=str)
def test_every_python_compiles(fence: Fence) -> None:
    compile(fence.text, str(fence), "exec")


def test_every_target_of_make_exists() -> None:
    there = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    named = {n for f in all_fences("sh") for n in re.findall(r"^make ([a-z]+)", f.text, re.M)}
    named |= {n for page in PAGES for n in re.findall(r"`make ([a-z]+)", prose(page))}
    assert {"demo", "test"} <= named
    assert named - there == set()
