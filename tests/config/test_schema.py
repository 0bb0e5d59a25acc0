"""The published JSON Schema is current, and says of our examples what `load` says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from proctor.config import starter
from proctor.config.schema import schema, text

ROOT = Path(__file__).parents[2]
PUBLISHED = ROOT / "docs" / "reference" / "proctor.schema.json"
EXAMPLES = sorted((ROOT / "fixtures" / "pipelines").glob("*.yaml"))


def complaints(written: str) -> list[str]:
    value: Any = YAML(typ="safe", pure=True).load(written)
    validator = Draft202012Validator(json.loads(PUBLISHED.read_text("utf-8")))
    return [e.message for e in validator.iter_errors(value)]


def test_the_published_schema_is_current() -> None:
    """Renew it with: python -m proctor.config.schema > docs/reference/proctor.schema.json"""
    assert PUBLISHED.read_text("utf-8") == text()


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: str(p.stem))
def test_the_examples_are_valid(path: Path) -> None:
    assert complaints(path.read_text("utf-8")) == []


def test_the_starter_is_valid() -> None:
    assert complaints(starter()) == []


GOOD = """
pipelines:
- name: one
  match: {repo: a/b}
  checks: [{use: card, with: {licences: [mit]}}]
  gate: [{metric: card/keys, at_least: 1}]
channels: {ops: {use: webhook, url: x, secret: y}}
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("licences: [mit]", "licences: mit"),
        ("licences", "licenses"),
        ("use: card, with: {licences: [mit]}", "use: lm-eval"),
        ("at_least: 1", "at_least: 1, at_most: 2"),
        (", at_least: 1", ""),
        ("at_least: 1", "soak: 1h, at_least: 1"),
        ("match:", "mtach:"),
        ("name: one", "name: a b"),
        (", secret: y", ""),
        ("secret: y", "secret: y, secrets: z"),
        ("use: webhook", "use: slack"),
    ],
)
def test_editors_see_mistakes(old: str, new: str) -> None:
    assert complaints(GOOD) == []
    assert complaints(GOOD.replace(old, new))


def test_other_plugins_are_allowed() -> None:
    assert complaints(GOOD.replace("use: card", "use: acme-toxicity")) == []
