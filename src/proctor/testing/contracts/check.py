"""What every implementation of `proctor.ports.check.Check` has to keep."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from proctor.core.errors import Cancelled, CheckFailed
from proctor.core.evidence import Findings, canonical
from proctor.ports.check import Check, Room, Subject

PROMPT = 30.0
"""Seconds within which a check has to end once its work is no longer wanted."""


@dataclass(frozen=True, slots=True)
class Exam:
    """A check on trial.

    It measures `subject`, whose files are in the folder `snapshot`. `hopeless` is a subject, with
    its folder, that it cannot measure; None for a check that measures every revision. Relative
    paths of its parameters start at `base`. `metrics` are the names that the plugin declares, or
    None.
    """

    check: Check
    subject: Subject
    snapshot: Path
    hopeless: tuple[Subject, Path] | None = None
    base: Path = Path()
    metrics: Mapping[str, str] | None = None

    def room(self, folder: Path, *, snapshot: Path | None = None, cancelled: bool = False) -> Room:
        """A place to work below `folder`, which has to be new."""
        work, artifacts = folder / "attempt" / "work", folder / "artifacts"
        work.mkdir(parents=True)
        artifacts.mkdir()
        return Room(
            work=work,
            artifacts=artifacts,
            base=self.base,
            snapshot=lambda: snapshot or self.snapshot,
            cancelled=lambda: cancelled,
            progress=lambda done, total, what: None,
        )


class CheckContract:
    """Subclass, and override `exam`."""

    @pytest.fixture
    def exam(self) -> Exam:
        """The check, and what it is tried with."""
        raise NotImplementedError

    def test_it_says_where_it_runs_and_for_how_long(self, exam: Exam) -> None:
        assert exam.check.queue in ("io", "eval")
        assert 0 < exam.check.time_limit < math.inf

    def test_it_reports_facts_that_can_be_recorded(self, exam: Exam, tmp_path: Path) -> None:
        before = held(exam.snapshot)
        room = exam.room(tmp_path / "room")
        began = time.monotonic()
        findings = exam.check.measure(exam.subject, room)
        assert time.monotonic() - began <= exam.check.time_limit
        assert isinstance(findings, Findings)
        names = [metric.name for metric in findings.metrics]
        assert names
        assert len(set(names)) == len(names)
        assert all(metric.stderr is None or metric.stderr >= 0 for metric in findings.metrics)
        if exam.metrics is not None:
            assert set(names) <= exam.metrics.keys()
        assert all(math.isfinite(amount) for amount in findings.costs.values())
        assert canonical(findings.conditions)
        assert all(isinstance(note, str) for note in findings.notes)
        kept = {a.path: (a.size, a.sha256) for a in findings.artifacts}
        assert held(room.artifacts) == kept
        assert held(exam.snapshot) == before

    def test_the_same_revision_measures_the_same(self, exam: Exam, tmp_path: Path) -> None:
        one, two = (
            exam.check.measure(exam.subject, exam.room(tmp_path / name)) for name in ("a", "b")
        )
        assert one.metrics == two.metrics
        assert canonical(one.conditions) == canonical(two.conditions)

    def test_what_cannot_be_measured_is_an_error_and_no_number(
        self, exam: Exam, tmp_path: Path
    ) -> None:
        if exam.hopeless is None:
            pytest.skip("it measures every revision")
        subject, snapshot = exam.hopeless
        with pytest.raises(CheckFailed) as caught:
            exam.check.measure(subject, exam.room(tmp_path / "room", snapshot=snapshot))
        assert str(caught.value).strip()

    def test_it_ends_soon_when_its_work_is_no_longer_wanted(
        self, exam: Exam, tmp_path: Path
    ) -> None:
        room = exam.room(tmp_path / "room", cancelled=True)
        began = time.monotonic()
        with suppress(Cancelled):  # what takes no time may as well come to its end
            exam.check.measure(exam.subject, room)
        assert time.monotonic() - began < PROMPT


def held(folder: Path) -> dict[str, tuple[int, str]]:
    """Size and SHA-256 of each file below `folder`, by its path there."""
    return {
        path.relative_to(folder).as_posix(): (
            path.stat().st_size,
            hashlib.sha256(path.read_bytes()).hexdigest(),
        )
        for path in folder.rglob("*")
        if path.is_file()
    }
