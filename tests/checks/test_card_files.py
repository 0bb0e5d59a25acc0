"""The two checks that need only the Hub's description of a revision."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from pydantic import ValidationError

from proctor.checks.card import Card, CardParameters
from proctor.checks.files import FORMATS, Files, FilesParameters
from proctor.core.evidence import Findings, Json
from proctor.core.names import Repo, RepoType, Revision
from proctor.core.registry import Description, File
from proctor.ports.check import Check, Room, Subject

REVISION = Revision("a" * 40)


def no_snapshot() -> Path:
    raise AssertionError("the description is enough")


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room(tmp_path, tmp_path, tmp_path, no_snapshot, lambda: False, lambda d, t, w: None)


def subject(card: Mapping[str, Json], files: Mapping[str, int]) -> Subject:
    """`files` are sizes in bytes by path."""
    listed = tuple(File(path, size, "0") for path, size in files.items())
    description = Description(REVISION, card=card, files=listed)
    return Subject(Repo("h", RepoType.MODEL, "acme/bot"), REVISION, description)


def values(findings: Findings) -> dict[str, float]:
    return {m.name: m.value for m in findings.metrics}


def card(room: Room, written: dict[str, Json], **parameters: object) -> Findings:
    check: Check = Card(CardParameters.model_validate(parameters))
    assert (check.queue, check.time_limit) == ("io", 60)
    return check.measure(subject(written, {}), room)


def files(room: Room, listed: dict[str, int], **parameters: object) -> Findings:
    check: Check = Files(FilesParameters.model_validate(parameters))
    assert (check.queue, check.time_limit) == ("io", 60)
    return check.measure(subject({}, listed), room)


@pytest.mark.parametrize(
    ("written", "allowed"),
    [
        ({"license": "mit"}, 1),
        ({"license": "MIT"}, 1),
        ({"license": ["mit", "apache-2.0"]}, 1),
        ({"license": ["mit", "gpl-3.0"]}, 0),
        ({"license": "gpl-3.0"}, 0),
        ({"license": "other", "license_name": "acme-1"}, 1),
        ({"license": "other"}, 0),
        ({"license": "mit", "license_name": "gpl"}, 1),
        ({"license": None}, 0),
        ({"license": []}, 0),
        ({"license": 3}, 0),
        ({}, 0),
    ],
)
def test_licences(room: Room, written: dict[str, Json], allowed: int) -> None:
    findings = card(room, written, licences=["Apache-2.0", "mit", "acme-1"])
    assert values(findings)["license_allowed"] == allowed
    assert findings.notes[0].startswith("licence ")


def test_without_a_list_nothing_is_said_of_the_licence(room: Room) -> None:
    assert "license_allowed" not in values(card(room, {"license": "mit"}))


def test_missing_keys_are_counted_and_named(room: Room) -> None:
    written: dict[str, Json] = {
        "base_model": "acme/base",
        "tags": [],
        "language": "",
        "co2": {"emissions": 0},
        "a.b": "written with a dot",
    }
    asked = ["base_model", "tags", "language", "co2.emissions", "co2.source", "a.b", "datasets"]
    findings = card(room, written, require=asked)
    assert values(findings) == {"keys": 5, "missing_keys": 4}
    assert findings.notes == ("the card lacks tags, language, co2.source, datasets",)


def test_zero_and_false_are_answers(room: Room) -> None:
    assert values(card(room, {"a": 0, "b": False}, require=["a", "b"]))["missing_keys"] == 0


def test_safe_weights(room: Room) -> None:
    listed = {"model.safetensors": 700, "config.json": 30, "README.md": 3}
    findings = files(room, listed, formats=["safetensors"], max_size=700)
    assert values(findings) == {
        "unsafe_files": 0,
        "weight_files": 1,
        "total_bytes": 733,
        "largest_bytes": 700,
        "formats_allowed": 1,
        "oversized_files": 0,
    }
    assert findings.notes == ()
    units = {m.name: m.unit for m in findings.metrics}
    assert (units["total_bytes"], units["unsafe_files"]) == ("bytes", "")


@pytest.mark.parametrize(
    "name", ["pytorch_model.bin", "sub/x.PT", "x.pkl", "optimizer.pt", "x.ckpt", "x.nemo"]
)
def test_pickles_are_unsafe_wherever_they_are(room: Room, name: str) -> None:
    findings = files(room, {name: 1, "model.safetensors": 1}, formats=["safetensors"])
    assert values(findings)["unsafe_files"] == 1
    assert values(findings)["formats_allowed"] == 0
    assert findings.notes == (
        f"can run code on loading: {name}",
        f"not in an allowed format: {name}",
    )


def test_pickles_can_be_allowed(room: Room) -> None:
    findings = files(room, {"x.bin": 1}, allow_pickles=True, formats=["pickle"])
    assert values(findings)["unsafe_files"] == 0
    assert values(findings)["formats_allowed"] == 1


def test_a_repo_without_weights_is_in_no_allowed_format(room: Room) -> None:
    findings = files(room, {"README.md": 1}, formats=["safetensors"])
    assert values(findings)["formats_allowed"] == 0
    assert findings.notes == ("there are no weights",)
    assert values(files(room, {}))["largest_bytes"] == 0


def test_oversized_files_are_named_but_not_without_end(room: Room) -> None:
    findings = files(room, {f"f{i:02}.gguf": 11 for i in range(12)}, max_size=10)
    assert values(findings)["oversized_files"] == 12
    (note,) = findings.notes
    assert note.startswith("larger than 10 bytes: f00.gguf, f01.gguf")
    assert note.endswith("f09.gguf and 2 more")


@pytest.mark.parametrize(
    ("model", "given"),
    [
        (CardParameters, {"licences": []}),
        (CardParameters, {"licences": "mit"}),
        (CardParameters, {"licenses": ["mit"]}),
        (FilesParameters, {"formats": ["zip"]}),
        (FilesParameters, {"formats": []}),
        (FilesParameters, {"max_size": 0}),
        (FilesParameters, {"max_size": "5GB"}),
    ],
)
def test_bad_parameters_are_refused(
    model: type[CardParameters | FilesParameters], given: dict[str, object]
) -> None:
    with pytest.raises(ValidationError):
        model.model_validate(given)


@pytest.mark.parametrize("factory", [Card, Files])
def test_only_metrics_that_are_declared_are_reported(
    room: Room, factory: type[Card | Files]
) -> None:
    card_ = Card(CardParameters(licences=["mit"], require=["x"]))
    files_ = Files(FilesParameters(formats=list(FORMATS), max_size=1))
    check = card_ if factory is Card else files_
    reported = {m.name for m in check.measure(subject({}, {"x.bin": 5}), room).metrics}
    assert reported == set(factory.metrics)
