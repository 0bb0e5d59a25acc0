"""lm-eval keeps the contract of a check, with a real model."""

from __future__ import annotations

from pathlib import Path

import pytest

from proctor.checks.lm_eval.check import LmEval
from proctor.core.names import Repo, RepoType
from proctor.core.registry import Description
from proctor.ports.check import Subject
from proctor.testing.contracts.check import CheckContract, Exam

from .conftest import FIXTURES, REVISION


class TestLmEval(CheckContract):
    """`lm-eval`."""

    @pytest.fixture
    def exam(self, tmp_path: Path) -> Exam:
        """A few sums; without weights it cannot measure."""
        wanted = {"tasks": ["arith"], "include_path": "tasks/", "batch_size": 8, "limit": 8}
        subject = Subject(Repo("1", RepoType.MODEL, "acme/sums"), REVISION, Description(REVISION))
        (tmp_path / "empty").mkdir()
        return Exam(
            LmEval(LmEval.Parameters.model_validate(wanted)),
            subject,
            FIXTURES / "checkpoints" / "good",
            hopeless=(subject, tmp_path / "empty"),
            base=FIXTURES,
        )
