"""lint asks the harness whether it knows the tasks, where there is a harness."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Cli

pytestmark = pytest.mark.slow

FIXTURES = Path(__file__).parents[2] / "fixtures" / "tasks"
RULES = """\
pipelines:
  - name: chat
    match: {repo: "acme/*"}
    checks:
      - {use: card}
      - {use: lm-eval, name: smoke, with: {tasks: [arith], include_path: tasks}}
      - use: lm-eval
        name: full
        with:
          tasks: [arith_gen, TASK]
          include_path: tasks
    gate: [{metric: smoke/arith/acc, at_least: 0.5}]
"""


def configure(cli: Cli, task: str) -> Path:
    """Write rules that name a task, beside a folder of tasks; returns the folder."""
    cli.configured(RULES.replace("TASK", task))
    return Path(shutil.copytree(FIXTURES, cli.folder / "tasks"))


def test_a_task_that_nobody_knows_is_told_with_its_line(cli: Cli) -> None:
    configure(cli, "hellaswagg")
    done = cli("lint")
    assert done.status == 1 and done.out == ""
    (told,) = done.err.splitlines()
    assert "proctor.yaml:10:30: task hellaswagg is not in " in told
    assert "Did you mean hellaswag? Or put its file into include_path." in told
    assert cli("lint", "--no-tasks").status == 0


def test_a_folders_own_tasks_and_the_harness_s_are_known(cli: Cli) -> None:
    configure(cli, "hellaswag")
    done = cli("lint", "--json")
    assert done.status == 0 and done.facts == {"problems": [], "not_checked": ""}


def test_a_task_file_that_cannot_be_read_is_told(cli: Cli) -> None:
    folder = configure(cli, "arith")
    (folder / "broken.yaml").write_text("task: [unclosed")
    done = cli("lint")
    assert done.status == 1
    assert "proctor.yaml:6:74: task file broken.yaml cannot be read" in done.err
    assert "proctor.yaml:11:25: task file broken.yaml cannot be read" in done.err


def test_without_the_harness_it_says_that_it_did_not_look(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(cli, "hellaswagg")
    monkeypatch.setitem(sys.modules, "lm_eval", None)  # how Python is told that there is none
    done = cli("lint")
    assert done.status == 0
    assert "tasks of lm-eval exist was not checked: lm_eval is not installed here." in done.out
    assert cli("lint", "--json").facts["not_checked"] == "lm_eval is not installed here"
