"""The shipped fakes keep the contracts of the ports that they stand for."""

from __future__ import annotations

from pathlib import Path

import pytest

from proctor.core.errors import TransientError
from proctor.core.evidence import Findings, Metric
from proctor.core.names import Repo, RepoType, Revision
from proctor.core.registry import Description
from proctor.ports.check import Subject
from proctor.testing import FakeCheck, FakeNotifier
from proctor.testing.contracts.check import CheckContract, Exam
from proctor.testing.contracts.notifier import Line, NotifierContract


def subject(revision: Revision) -> Subject:
    return Subject(Repo("1", RepoType.MODEL, "acme/bot"), revision, Description(revision))


class TestFakeCheck(CheckContract):
    """The fake."""

    @pytest.fixture
    def exam(self, tmp_path: Path) -> Exam:
        """It knows one revision, and no other."""
        known, other = subject(Revision("a" * 40)), subject(Revision("b" * 40))
        check = FakeCheck({known.revision: Findings((Metric("acc", 0.5),))})
        return Exam(check, known, tmp_path / "none", hopeless=(other, tmp_path / "none"))


class TestFakeNotifier(NotifierContract):
    """The fake."""

    @pytest.fixture
    def line(self) -> Line:
        """It is its own other end."""
        fake = FakeNotifier()
        return Line(
            fake,
            arrived=lambda: [str(notice) + notice.text for notice in fake.sent],
            refuse=lambda: fake.fail_next(TransientError("503")),
        )
