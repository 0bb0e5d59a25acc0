"""What a repository's card and configuration say about it: ``cardData``, tags, task, library.

The Hub's own rules for tags are not published in full; these are the ones that
https://huggingface.co/docs/hub/model-cards describes.
"""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

_MAX_CARD = 1_000_000
_MAX_NODES = 100_000
_PREFIXED = {"license": "license", "base_model": "base_model", "datasets": "dataset"}
_PLAIN = ("tags", "language", "task_categories")


class InvalidCard(ValueError):
    """The block between the ``---`` lines of a README is not a YAML mapping."""


@dataclass(frozen=True)
class Summary:
    """What the repository's front page would show."""

    card: Mapping[str, Any] | None = None
    config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def library(self) -> str | None:
        written = (self.card or {}).get("library_name")
        if isinstance(written, str):
            return written
        return "transformers" if "model_type" in self.config else None

    @property
    def task(self) -> str | None:
        written = (self.card or {}).get("pipeline_tag")
        if isinstance(written, str):
            return written
        names = self.config.get("architectures") or []
        causal = any(str(name).endswith("ForCausalLM") for name in names)
        return "text-generation" if causal else None

    def tags(self, paths: Mapping[str, object]) -> list[str]:
        """The metadata tags, in a stable order and each once."""
        found: list[str] = []
        found += [self.library] if self.library else []
        found += ["safetensors"] if any(path.endswith(".safetensors") for path in paths) else []
        model_type = self.config.get("model_type")
        found += [model_type] if isinstance(model_type, str) else []
        found += [self.task] if self.task else []
        card = self.card or {}
        for key in _PLAIN:
            found += _texts(card.get(key))
        for key, prefix in _PREFIXED.items():
            found += [f"{prefix}:{text}" for text in _texts(card.get(key))]
        found.append("region:us")
        return list(dict.fromkeys(found))


def _texts(value: object) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [str(item) for item in values if isinstance(item, str | int | float)]


def front_matter(text: str) -> dict[str, Any] | None:
    """The metadata block of a README, None without one. Raises :class:`InvalidCard`."""
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    if not text.startswith("---\n"):
        return None
    block, found, _ = text[4:].partition("\n---")
    if not found and not text[4:].startswith("---"):
        return None
    if text[4:].startswith("---"):
        return {}
    try:
        loaded = YAML(typ="safe", pure=True).load(io.StringIO(block))
        # Through JSON, as it goes out that way: dates become text, odd keys an error.
        _no_bomb(loaded)
        plain: object = json.loads(json.dumps(loaded, default=str, allow_nan=False))
    except (YAMLError, ValueError, TypeError, RecursionError) as error:
        problem = getattr(error, "problem", None) or "not readable as YAML"
        raise InvalidCard(f"the metadata block is invalid: {problem}") from error
    if plain is None:
        return {}
    if not isinstance(plain, dict):
        raise InvalidCard("the metadata block is not a mapping")
    return plain


def _no_bomb(loaded: object) -> None:
    """YAML aliases can make a few lines stand for billions of values: count before expanding."""
    waiting, seen = [loaded], 0
    while waiting:
        seen += 1
        if seen > _MAX_NODES:
            raise InvalidCard(f"the metadata block holds more than {_MAX_NODES} values")
        value = waiting.pop()
        if isinstance(value, dict):
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)


def _no_constant(name: str) -> None:
    """NaN and infinities are not JSON, and our answers could not hold them."""
    raise ValueError(name)


@lru_cache(maxsize=512)
def card_at(path: Path) -> Mapping[str, Any] | None:
    """The card in a blob; None when there is none or it is invalid. Blobs do not change."""
    text = _text(path)
    try:
        return front_matter(text) if text is not None else None
    except InvalidCard:
        return None


@lru_cache(maxsize=512)
def config_at(path: Path) -> Mapping[str, Any]:
    """A ``config.json`` in a blob, empty when it is not a JSON object."""
    text = _text(path)
    try:
        loaded = json.loads(text, parse_constant=_no_constant) if text is not None else {}
    except (ValueError, RecursionError):
        return {}
    return loaded if isinstance(loaded, dict) else {}


def _text(path: Path) -> str | None:
    with path.open("rb") as file:
        content = file.read(_MAX_CARD + 1)
    if len(content) > _MAX_CARD:
        return None
    return content.decode("utf-8", "replace")
