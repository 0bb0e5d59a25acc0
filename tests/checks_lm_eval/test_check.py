"""The check on the shipped checkpoints, and its ends other than a result."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from proctor.checks.lm_eval.check import LmEval, read_samples
from proctor.checks.supervisor.record import RECORD, Identity, read
from proctor.core.errors import Cancelled, CheckFailed, EndedFromOutside
from proctor.core.evidence import Evidence, Findings, Outcome, canonical
from proctor.core.gate import AtLeast, Result, judge
from proctor.core.names import Repo, RepoType, Revision
from proctor.core.registry import Description
from proctor.ports.check import Check, Subject

if TYPE_CHECKING:
    from tests.checks_lm_eval.conftest import Measured, Place

MEASURED_ONCE = pytest.mark.xdist_group("measured once")
"""In one process, so that what several look at is measured once."""

DONE = (2400, 2400, "loglikelihood")
"""What is told when all of `arith` is measured."""

SMOKE = AtLeast("smoke/arith/acc", 0.80)


def verdict(findings: Findings) -> Result:
    """What the demo's gate says."""
    evidence = Evidence("1", "smoke", Revision("a" * 40), Outcome.MEASURED, findings)
    return judge([SMOKE], {"smoke": evidence}, {}).result


@MEASURED_ONCE
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "least", "most", "result"),
    [
        ("good", 0.97, 1.0, Result.PASS),
        ("weak", 0.0, 0.30, Result.FAIL),
        ("regressed", 0.70, 0.79, Result.FAIL),
    ],
)
def test_shipped_checkpoints(
    measured: Callable[[str], Measured], name: str, least: float, most: float, result: Result
) -> None:
    findings = measured(name).findings
    told = {m.name: m for m in findings.metrics}
    assert least <= told["arith/acc"].value <= most
    assert told["arith/acc"].n == 600
    assert told["arith/acc"].stderr is not None
    assert verdict(findings) is result


@MEASURED_ONCE
@pytest.mark.slow
def test_a_task_with_several_filters_names_them(measured: Callable[[str], Measured]) -> None:
    assert [m.name for m in measured("good").findings.metrics] == [
        "arith/acc",
        "arith_gen/exact_match@strict",
        "arith_gen/exact_match@flexible",
    ]


@MEASURED_ONCE
@pytest.mark.slow
def test_what_is_kept(measured: Callable[[str], Measured]) -> None:
    findings, place = measured("good").findings, measured("good").place
    kept = {a.path: a for a in findings.artifacts}
    assert set(kept) == {
        "samples/arith.jsonl.gz",
        "samples/arith_gen.jsonl.gz",
        "results.json",
        "output.log",
    }
    for path, artifact in kept.items():
        content = (place.artifacts / path).read_bytes()
        assert artifact.sha256 == hashlib.sha256(content).hexdigest()
        assert artifact.size == len(content)
    rows = read_samples(place.artifacts / "samples/arith.jsonl.gz")
    accuracy = sum(row["acc"] for row in rows) / len(rows)
    assert accuracy == pytest.approx(findings.metrics[0].value)
    assert len({row["doc_hash"] for row in rows}) == 600
    gen = read_samples(place.artifacts / "samples/arith_gen.jsonl.gz")
    assert len(gen) == 1200  # one row for each document and filter
    report = json.loads((place.artifacts / "results.json").read_text(encoding="utf-8"))
    assert report["revision"] == "0123456789abcdef0123456789abcdef01234567"
    assert report["repo"] == "acme/sums"


@MEASURED_ONCE
@pytest.mark.slow
def test_two_revisions_are_measured_under_equal_conditions(
    measured: Callable[[str], Measured],
) -> None:
    good, regressed = measured("good"), measured("regressed")
    assert canonical(good.findings.conditions) == canonical(regressed.findings.conditions)
    of_good, of_regressed = (
        read_samples(m.place.artifacts / "samples/arith.jsonl.gz") for m in (good, regressed)
    )
    paired = ("doc_id", "doc_hash", "prompt_hash", "target_hash")
    assert [[r[k] for k in paired] for r in of_good] == [
        [r[k] for k in paired] for r in of_regressed
    ]


@MEASURED_ONCE
@pytest.mark.slow
def test_progress_and_costs(measured: Callable[[str], Measured]) -> None:
    place, costs = measured("good").place, measured("good").findings.costs
    assert costs["requests"] == 2400 + 600
    assert 0 < costs["wall_s"] < measured("good").seconds + 1
    assert place.told[-1] == (600, 600, "generate_until")
    assert DONE in place.told


@pytest.mark.slow
def test_files_that_change_meanwhile_spoil_the_result(place: Place, tmp_path: Path) -> None:
    place.snapshot = Path(shutil.copytree(place.snapshot, tmp_path / "snapshot"))

    def change() -> bool:
        with (place.snapshot / "README.md").open("a", encoding="utf-8") as card:
            card.write("one more line\n")
        return False

    place.cancelled = change
    with pytest.raises(CheckFailed, match=r"changed while it was measured: \['README.md'\]"):
        place.measure(limit=5)


@pytest.mark.slow
def test_an_unknown_task_names_the_nearest(place: Place) -> None:
    with pytest.raises(CheckFailed, match=r"task arit is not in .* did you mean arith"):
        place.measure(tasks=["arit"])


@pytest.mark.slow
def test_the_time_limit(place: Place) -> None:
    with pytest.raises(CheckFailed, match="longer than its time limit of 1 s"):
        place.measure(time_limit=1)
    assert DONE not in place.told


@pytest.mark.slow
def test_the_time_limit_is_the_evals_and_not_the_downloads(place: Place) -> None:
    room, limit, revision = place.room(), 3, Revision("a" * 40)
    there: list[float] = []

    def download() -> Path:
        time.sleep(limit + 0.5)
        there.append(time.monotonic())
        return place.snapshot

    wanted = {"tasks": ["arith"], "include_path": "tasks/", "time_limit": limit}
    check = LmEval(LmEval.Parameters.model_validate(wanted))
    with suppress(CheckFailed):  # a fast machine may be done in time
        subject = Subject(Repo("1", RepoType.MODEL, "acme/sums"), revision, Description(revision))
        check.measure(subject, replace(room, snapshot=download))
        return
    assert time.monotonic() - there[0] >= limit


@pytest.mark.slow
def test_cancelled(place: Place) -> None:
    began = time.monotonic()
    place.cancelled = lambda: time.monotonic() - began > 1
    with pytest.raises(Cancelled):
        place.measure()
    assert DONE not in place.told


@pytest.mark.slow
@pytest.mark.parametrize(
    ("victim", "number", "error"),
    [
        ("group", signal.SIGTERM, EndedFromOutside),  # the machine shuts down
        ("group", signal.SIGKILL, EndedFromOutside),  # out of memory
        ("group", signal.SIGSEGV, CheckFailed),  # a bug in a library
        ("supervisor", signal.SIGTERM, EndedFromOutside),
        ("supervisor", signal.SIGKILL, EndedFromOutside),
    ],
)
def test_an_end_from_outside(
    place: Place, victim: str, number: int, error: type[Exception]
) -> None:
    killed: list[Identity] = []

    def kill() -> bool:
        record = read(place.folder / "attempt" / "work" / RECORD)
        found = record and (record.group if victim == "group" else record.supervisor)
        if found and not killed:
            os.kill(found.pid, number)
            killed.append(found)
        return False

    place.cancelled = kill
    with pytest.raises(error):
        place.measure()
    assert killed
    assert not killed[0].alive()


def test_a_revision_without_tokenizer(place: Place, tmp_path: Path) -> None:
    place.snapshot = Path(shutil.copytree(place.snapshot, tmp_path / "snapshot"))
    for path in place.snapshot.glob("tokenizer*"):
        path.unlink()
    with pytest.raises(CheckFailed, match="no tokenizer files"):
        place.measure()


def test_a_revision_that_is_no_model(place: Place, tmp_path: Path) -> None:
    place.snapshot = tmp_path / "snapshot"
    place.snapshot.mkdir()
    with pytest.raises(CheckFailed, match="no model"):
        place.measure()
    (place.snapshot / "adapter_config.json").write_text("{}", encoding="utf-8")
    shutil.rmtree(place.folder / "attempt")
    shutil.rmtree(place.artifacts)
    with pytest.raises(CheckFailed, match="an adapter without its base model"):
        place.measure()


def test_an_include_path_that_is_not_there(place: Place) -> None:
    with pytest.raises(CheckFailed, match=r"there is no folder .*nowhere"):
        place.measure(include_path="nowhere/")


def test_it_is_a_check() -> None:
    check: Check = LmEval(LmEval.Parameters(tasks=("arith",), time_limit=60))
    assert (check.queue, check.time_limit) == ("eval", 60)
