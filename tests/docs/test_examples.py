"""The code that the pages show does what they say."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from proctor import plugins
from proctor.config import load
from proctor.testing.contracts.hub import HubContract

from .conftest import ROOT, Fence, fences

CHECK = ROOT / "docs" / "howto" / "write-a-check.md"
PLUGINS = ROOT / "docs" / "reference" / "plugins.md"
TASK = ROOT / "docs" / "howto" / "write-a-task.md"


def block(page: Path, told: str, place: int = 0) -> Fence:
    return [f for f in fences(page) if f.told == told][place]


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The example of "Write a check", installed as a package would be."""
    module = tmp_path / "acme_checks" / "context.py"
    module.parent.mkdir()
    module.write_text(block(CHECK, "python").text, "utf-8")
    named = tomllib.loads(block(CHECK, "toml").text)["project"]["entry-points"]
    told = tmp_path / "acme_checks-1.0.dist-info"
    told.mkdir()
    (told / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-checks\nVersion: 1.0\n")
    lines = [f"[{g}]\n" + "".join(f"{n} = {v}\n" for n, v in e.items()) for g, e in named.items()]
    (told / "entry_points.txt").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in [n for n in sys.modules if n.partition(".")[0] == "acme_checks"]:
        del sys.modules[name]


def test_the_example_check_is_found_and_documents_itself(installed: Path) -> None:
    factory = plugins.checks()["context"]
    assert plugins.documentation(factory).startswith("Reads from config.json")
    assert block(CHECK, "toml").text == block(PLUGINS, "toml").text


def test_the_pipeline_of_the_example_check_loads(installed: Path) -> None:
    path = installed / "proctor.yaml"
    path.write_text(block(CHECK, "yaml plugin").text, "utf-8")
    (pipeline,) = load(path, {}).pipelines
    assert plugins.build_check(pipeline.checks[0]).queue == "eval"


def test_the_tests_of_the_example_check_pass(installed: Path, tmp_path: Path) -> None:
    shown: dict[str, Any] = {}
    exec(compile(block(CHECK, "python", 1).text, str(CHECK), "exec"), shown)  # noqa: S102 - our own page
    tests = [value for name, value in shown.items() if name.startswith("test_")]
    assert len(tests) == 2
    for number, test in enumerate(tests):
        folder = tmp_path / str(number)
        folder.mkdir()
        test(tmp_path=folder)


def test_the_example_check_keeps_the_contract_as_shown(installed: Path) -> None:
    """As its author would run it: the first tests and the contract in one file."""
    shown = block(CHECK, "python", 1).text + "\n\n" + block(CHECK, "python", 2).text
    (installed / "test_context.py").write_text(shown, "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_context.py"],
        cwd=installed,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "7 passed" in done.stdout


def test_the_example_of_a_contract_is_one() -> None:
    shown: dict[str, Any] = {}
    exec(compile(block(PLUGINS, "python").text, str(PLUGINS), "exec"), shown)  # noqa: S102 - our own page
    assert issubclass(shown["TestOurHub"], HubContract)


def test_the_example_task_is_as_the_fixture() -> None:
    """The task of the page is the one that the evaluation tests run, but for its names."""
    fixture = (ROOT / "fixtures" / "tasks" / "arith" / "arith.yaml").read_text("utf-8")
    lines = [line.partition(" #")[0] for line in fixture.splitlines() if line[:1] != "#"]
    same = "\n".join(line for line in lines if "num_fewshot" not in line) + "\n"
    assert block(TASK, "yaml task").text == same.replace("arith", "sums")
