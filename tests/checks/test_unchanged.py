"""What a path of the configuration holds, as one text that changes when it does."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from proctor.checks.unchanged import content_of


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    """A folder with a file, and one in a folder below."""
    (tmp_path / "tasks" / "deep").mkdir(parents=True)
    (tmp_path / "tasks" / "a.yaml").write_text("task: a")
    (tmp_path / "tasks" / "deep" / "b.yaml").write_text("task: b")
    return tmp_path / "tasks"


@pytest.mark.parametrize(
    "change",
    [
        lambda f: (f / "deep" / "b.yaml").write_text("task: c"),
        lambda f: (f / "c.yaml").write_text(""),
        lambda f: (f / "a.yaml").unlink(),
        lambda f: (f / "a.yaml").rename(f / "z.yaml"),
        lambda f: Path(os.fsdecode(os.fsencode(f) + b"/\xff")).write_text(""),
    ],
    ids=["edited", "added", "removed", "renamed", "a name that is not UTF-8"],
)
def test_every_change_shows(tasks: Path, change: object) -> None:
    before = content_of(tasks.parent, "tasks")
    assert callable(change)
    change(tasks)
    assert content_of(tasks.parent, "tasks") != before


@pytest.mark.parametrize("hidden", [".cache", "deep/.cache/more", ".git", ".git/hooks"])
def test_a_task_in_a_hidden_folder_counts(tasks: Path, hidden: str) -> None:
    """lm-eval reads tasks there too."""
    (tasks / hidden).mkdir(parents=True)
    (tasks / hidden / "c.yaml").write_text("task: c")
    before = content_of(tasks.parent, "tasks")
    (tasks / hidden / "c.yaml").write_text("task: d")
    changed = content_of(tasks.parent, "tasks")
    (tasks / hidden / "functions.py").write_text("pass")
    assert len({before, changed, content_of(tasks.parent, "tasks")}) == 3


def test_what_git_does_for_itself_changes_nothing(tasks: Path) -> None:
    before = content_of(tasks.parent, "tasks")
    (tasks / ".git").mkdir()
    (tasks / ".git" / "FETCH_HEAD").write_text("0" * 40)
    assert content_of(tasks.parent, "tasks") == before


def test_another_spelling_other_times_and_caches_change_nothing(tasks: Path) -> None:
    before = content_of(tasks.parent, "tasks")
    os.utime(tasks / "a.yaml", (1, 1))
    (tasks / "__pycache__").mkdir()
    (tasks / "__pycache__" / "a.pyc").write_bytes(b"x")
    assert content_of(tasks.parent, "./tasks/") == content_of(Path("/"), str(tasks)) == before


def test_a_file_is_its_bytes(tasks: Path) -> None:
    before = content_of(tasks, "a.yaml")
    (tasks / "a.yaml").write_text("task: c")
    assert content_of(tasks, "a.yaml") != before
