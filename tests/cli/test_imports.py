"""The command stays light: the receiver is started by it."""

from __future__ import annotations

import subprocess
import sys

HEAVY = (
    "torch",
    "lm_eval",
    "datasets",
    "transformers",
    "numpy",
    "huggingface_hub",
    "proctor.localhub",
    "celery.worker",
    "sqlalchemy",
)


def test_the_command_imports_nothing_heavy() -> None:
    code = f"import sys, proctor.cli.main; print([m for m in {HEAVY!r} if m in sys.modules])"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"
