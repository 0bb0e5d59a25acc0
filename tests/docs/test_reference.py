"""What can be set, called, asked for and seen is documented, and nothing else is."""

from __future__ import annotations

import enum
import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from starlette.routing import Route

import proctor.core
from proctor import plugins, settings
from proctor.cli import doctor
from proctor.config import starter
from proctor.settings import Settings
from proctor.web.metrics import Metrics
from proctor.wiring import Wiring

from .conftest import ROOT
from .reference_pages import FOLDER, PAGES

ANEW = "write it anew: python tests/docs/reference_pages.py"


def text(page: str) -> str:
    return (FOLDER / page).read_text("utf-8")


@pytest.mark.parametrize("page", list(PAGES))
def test_pages_written_out_of_the_code_are_current(page: str) -> None:
    assert text(page) == PAGES[page](), ANEW


def test_every_setting_is_documented_as_the_code_has_it() -> None:
    assert settings.table() in text("settings.md")


def enums() -> Iterator[type[enum.StrEnum]]:
    for found in pkgutil.iter_modules(proctor.core.__path__):
        module = importlib.import_module(f"proctor.core.{found.name}")
        for value in vars(module).values():
            if (
                isinstance(value, type)
                and issubclass(value, enum.StrEnum)
                and value.__module__ == module.__name__
            ):
                yield value
    yield doctor.State


@pytest.mark.parametrize("words", list(enums()))
def test_every_status_is_documented(words: type[enum.StrEnum]) -> None:
    sections = [s for s in text("statuses.md").split("\n## ") if f"(`{words.__name__}`)" in s]
    assert len(sections) == 1, words.__name__
    missing = [word.value for word in words if f"`{word.value}`" not in sections[0]]
    assert not missing
    if f"(`{words.__name__}`)" in sections[0].split("\n", 1)[0]:
        told = re.findall(r"^\| `([a-z]+)` \|", sections[0], re.MULTILINE)
        assert set(told) <= {word.value for word in words}


@pytest.fixture
def wiring(tmp_path: Path) -> Iterator[Wiring]:
    (tmp_path / "proctor.yaml").write_text(starter(), "utf-8")
    environ = {"PROCTOR_HOME": str(tmp_path), "PROCTOR_CONFIG": str(tmp_path / "proctor.yaml")}
    wiring = Wiring(Settings.from_environment(environ))
    yield wiring
    wiring.close()


def test_every_route_is_documented_and_exists(wiring: Wiring) -> None:
    routes = [route for route in wiring.web().routes if isinstance(route, Route)]
    there = {f"{m} {r.path}" for r in routes for m in (r.methods or ()) if m != "HEAD"}
    assert set(re.findall(r"^## `([A-Z]+ /\S*)`$", text("http.md"), re.MULTILINE)) == there


def test_every_metric_is_documented_and_exists() -> None:
    families = Metrics(CollectorRegistry()).registry.collect()
    there = {f.name + ("_total" if f.type == "counter" else "") for f in families}
    assert set(re.findall(r"^\| `(\w+)` \|", text("metrics.md"), re.MULTILINE)) == there


def test_every_plugin_group_and_what_is_built_in_is_documented() -> None:
    page = text("plugins.md")
    for group in (plugins.checks(), plugins.notifiers()):
        row = next(line for line in page.splitlines() if line.startswith(f"| `{group.group}` |"))
        ours = [n for n in group if group[n].__module__.startswith("proctor.")]
        assert ours
        assert [n for n in ours if f"`{n}`" not in row] == []


def test_every_contract_is_documented() -> None:
    folder = ROOT / "src" / "proctor" / "testing" / "contracts"
    for path in folder.glob("*.py"):
        for name in re.findall(r"^class (\w+Contract)\(?", path.read_text("utf-8"), re.MULTILINE):
            module = importlib.import_module(f"proctor.testing.contracts.{path.stem}")
            used = getattr(module, name)
            inherited = any(
                f"`proctor.testing.contracts.{c.__module__.rpartition('.')[2]}.{c.__name__}`"
                in text("plugins.md")
                for c in [used, *_heirs(used)]
            )
            assert inherited, name


def _heirs(cls: type[object]) -> Iterator[type[object]]:
    for heir in cls.__subclasses__():
        yield heir
        yield from _heirs(heir)
