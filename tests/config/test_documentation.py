"""docs/reference/configuration.md names every key, and its example loads."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from proctor import plugins
from proctor.config.model import (
    NOT_YET,
    CheckWritten,
    CriterionWritten,
    FileWritten,
    PipelineWritten,
    StageWritten,
)
from proctor.config.plugged import SERVICES

from .conftest import Loaded

TEXT = (Path(__file__).parents[2] / "docs" / "reference" / "configuration.md").read_text("utf-8")


@pytest.mark.parametrize(
    "model", [FileWritten, StageWritten, PipelineWritten, CheckWritten, CriterionWritten]
)
def test_every_key_is_documented(model: type[FileWritten]) -> None:
    for name, info in model.model_fields.items():
        assert f"`{info.alias or name}`" in TEXT


def test_every_channel_and_what_is_not_there_yet_are_documented() -> None:
    ours = {n for n in plugins.notifiers() if n in ("log", "apprise", "webhook")}
    for name in ours | SERVICES.keys() | NOT_YET.keys():
        assert f"`{name}`" in TEXT
    for name in ours:
        for parameter in plugins.notifiers()[name].Parameters.model_fields:
            assert f"`{parameter}`" in TEXT


def test_the_example_loads(loaded: Loaded, tmp_path: Path) -> None:
    (tmp_path / "tasks").mkdir()
    found = re.search(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    assert found
    rules = loaded(found[1], {"SLACK_WEBHOOK_URL": "https://hooks.slack.com/services/a/b/c"})
    assert [p.name for p in rules.pipelines] == ["chat-models"]
