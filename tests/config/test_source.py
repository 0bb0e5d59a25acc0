"""Texts that are not YAML, or too much of it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from proctor.config import ConfigError, load
from proctor.config.source import MAX_BYTES

from .conftest import Refused


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        ("a: [1, 2\nb: 3\n", 2, "is not YAML"),
        ("a: 1\n\tb: 2\n", 2, "is not YAML"),
        ("a: 'x\n", 2, "is not YAML"),
        ("a: *nowhere\n", 1, "is not YAML"),
        ("a: 1\n---\nb: 2\n", 2, "is not YAML"),
        ("a: \x01\n", 1, "is not YAML"),
    ],
)
def test_syntax_errors_have_a_line(refused: Refused, text: str, line: int, told: str) -> None:
    (problem,) = refused(text)
    assert told in problem.problem
    assert problem.line == line
    assert problem.remedy


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (BOMB, "values"),
        ("a: &a [*a]\n", "nested"),
        ("a: &a {<<: *a}\n", "nested"),
        ("[" * 5_000, "nested"),
        ("a: " + "[" * 40 + "]" * 40, "nested"),
        ("a: [" + "1," * 25_000 + "]", "values"),
        ("# " + "x" * MAX_BYTES, "larger than 256 KiB"),
    ],
    ids=["bomb", "self", "merged self", "unclosed", "deep", "long", "large"],
)
def test_too_much_is_refused_in_time(refused: Refused, text: str, told: str) -> None:
    start = time.process_time()  # a machine that stands still spends none
    (problem,) = refused(text)
    assert told in problem.problem
    assert time.process_time() - start < 15


def test_bytes_that_are_not_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "proctor.yaml"
    path.write_bytes(b"a: 1\nb: \xff\n")
    with pytest.raises(ConfigError) as caught:
        load(path, {})
    (problem,) = caught.value.problems
    assert (problem.line, problem.problem) == (2, "is not UTF-8 text")


def test_a_folder_is_not_a_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path, {})


def test_huge_numbers_do_not_crash(refused: Refused) -> None:
    assert refused("a: " + "9" * 10_000)
