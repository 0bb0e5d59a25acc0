"""A file to write a configuration to, and what a load of it says."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias

import pytest

from proctor.config import ConfigError, Problem, load
from proctor.core.rule import Rules

Loaded: TypeAlias = Callable[..., Rules]
Refused: TypeAlias = Callable[..., tuple[Problem, ...]]


@pytest.fixture
def loaded(tmp_path: Path) -> Loaded:
    """Write the text and load it."""

    def act(text: str, environ: Mapping[str, str] | None = None) -> Rules:
        path = tmp_path / "proctor.yaml"
        path.write_text(textwrap.dedent(text), "utf-8")
        return load(path, environ or {})

    return act


@pytest.fixture
def refused(loaded: Loaded) -> Refused:
    """Write the text, load it, and return the problems."""

    def act(text: str, environ: Mapping[str, str] | None = None) -> tuple[Problem, ...]:
        with pytest.raises(ConfigError) as caught:
            loaded(text, environ)
        return caught.value.problems

    return act
