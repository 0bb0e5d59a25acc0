"""The shipped checkpoints are what the recipe makes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

FIXTURES = Path(__file__).parents[2] / "fixtures"
RECIPE = FIXTURES / "model" / "train.py"


@pytest.mark.slow
def test_documents_are_what_the_recipe_writes(tmp_path: Path) -> None:
    subprocess.run([sys.executable, str(RECIPE), "--docs", str(tmp_path / "docs")], check=True)
    shipped = FIXTURES / "tasks" / "arith" / "arith.jsonl"
    assert (tmp_path / "docs").read_bytes() == shipped.read_bytes()


def test_every_question_has_its_answer_once() -> None:
    lines = (FIXTURES / "tasks" / "arith" / "arith.jsonl").read_text(encoding="utf-8").splitlines()
    documents = [json.loads(line) for line in lines]
    assert len({d["question"] for d in documents}) == 600
    for document in documents:
        a, b = document["question"].removesuffix("=").split("+")
        assert document["choices"][document["answer"]] == document["sum"] == str(int(a) + int(b))
        assert len(set(document["choices"])) == 4


@pytest.mark.parametrize("name", ["weak", "good", "regressed"])
def test_a_checkpoint_is_a_small_repo_of_safetensors(name: str) -> None:
    files = list((FIXTURES / "checkpoints" / name).iterdir())
    assert sum(f.stat().st_size for f in files) < 10**6
    assert {f.name for f in files} == {
        "README.md",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    card = (FIXTURES / "checkpoints" / name / "README.md").read_text(encoding="utf-8")
    assert card.startswith("---\nlicense: apache-2.0\n")


@pytest.mark.slow
def test_the_recipe_makes_the_weak_checkpoint_again(tmp_path: Path) -> None:
    """The first steps pin seed, data and architecture; `--check` without `--steps` does it all."""
    command = [sys.executable, str(RECIPE), "--steps", "40", "--check"]
    done = subprocess.run(
        [*command, str(FIXTURES / "checkpoints")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "weak: " in done.stdout
