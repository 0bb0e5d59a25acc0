"""The deploy files, parsed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="session")
def root() -> Path:
    """The top of the repository."""
    return ROOT


@pytest.fixture(scope="session")
def compose() -> dict[str, Any]:
    """docker-compose.yml with its anchors resolved."""
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    parsed: dict[str, Any] = YAML(typ="safe").load(text)
    return parsed


@pytest.fixture(scope="session")
def dockerfile() -> str:
    """Dockerfile with continued lines joined."""
    return (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")


def command_lines() -> dict[str, tuple[str, ...]]:
    """What `proctor` is started with in each deploy file: where it stands -> the arguments."""
    found: dict[str, tuple[str, ...]] = {}
    for line in (ROOT / "Procfile").read_text(encoding="utf-8").splitlines():
        name, command = line.split(":", 1)
        program, *arguments = command.split()
        assert program == "proctor"
        found[f"Procfile:{name}"] = tuple(arguments)
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    for name, service in YAML(typ="safe").load(text)["services"].items():
        if service["image"].startswith("proctor"):
            found[f"compose:{name}"] = tuple(service["command"])
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    for number, match in enumerate(re.finditer(r"^CMD (\[.*\])$", text, re.MULTILINE), start=1):
        found[f"Dockerfile:CMD-{number}"] = tuple(json.loads(match[1]))
    return found


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`arguments`: each different command line once, named after the places where it stands."""
    if "arguments" in metafunc.fixturenames:
        places: dict[tuple[str, ...], list[str]] = {}
        for place, arguments in command_lines().items():
            places.setdefault(arguments, []).append(place)
        metafunc.parametrize("arguments", places, ids=["+".join(each) for each in places.values()])


@pytest.fixture(scope="session")
def commands() -> dict[str, tuple[str, ...]]:
    """Every command line of the deploy files."""
    return command_lines()
