"""The checks that need only the Hub's description keep the contract of a check."""

from __future__ import annotations

from pathlib import Path

import pytest

from proctor.checks.card import Card, CardParameters
from proctor.checks.files import Files, FilesParameters
from proctor.core.names import Repo, RepoType, Revision
from proctor.core.registry import Description, File
from proctor.ports.check import Subject
from proctor.testing.contracts.check import CheckContract, Exam

REVISION = Revision("a" * 40)
SUBJECT = Subject(
    Repo("1", RepoType.MODEL, "acme/bot"),
    REVISION,
    Description(REVISION, card={"license": "mit"}, files=(File("model.safetensors", 7, "0" * 40),)),
)


class TestCard(CheckContract):
    """`card`."""

    @pytest.fixture
    def exam(self, tmp_path: Path) -> Exam:
        """A card with a licence."""
        parameters = CardParameters.model_validate({"licences": ["mit"], "require": ["license"]})
        return Exam(Card(parameters), SUBJECT, tmp_path / "none", metrics=Card.metrics)


class TestFiles(CheckContract):
    """`files`."""

    @pytest.fixture
    def exam(self, tmp_path: Path) -> Exam:
        """One file of weights."""
        parameters = FilesParameters.model_validate({"formats": ["safetensors"]})
        return Exam(Files(parameters), SUBJECT, tmp_path / "none", metrics=Files.metrics)
