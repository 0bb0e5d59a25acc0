"""The model card as a check: licence and required keys."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from proctor.core.evidence import Findings, Json, Metric
from proctor.ports.check import Room, Subject


class CardParameters(BaseModel):
    """What the card is asked for."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    licences: list[str] | None = Field(
        default=None,
        min_length=1,
        description="Identifiers as the Hub spells them (apache-2.0, mit); case does not matter.",
    )
    require: list[str] = Field(
        default_factory=list,
        description="Keys that the card's YAML header has to have, not empty; a dot goes deeper "
        "(model-index, co2_eq_emissions.emissions).",
    )


class Card:
    """Looks at the YAML header of the repo's README.md (the card), as the Hub parsed it.

    Metrics:

    - `license_allowed`: 1 when every licence that the card names is in `licences`, else 0 (also
      when it names none). Only reported when `licences` is given.
    - `missing_keys`: how many keys of `require` are missing or empty.
    - `keys`: how many keys the card has at its top level; 0 means no header at all.

    To gate on it:

        checks:
          - {use: card, with: {licences: [apache-2.0, mit], require: [base_model]}}
        gate:
          - {metric: card/license_allowed, at_least: 1}
          - {metric: card/missing_keys, at_most: 0}

    The notes say which licence was found and which keys are missing. Nothing is downloaded.
    """

    Parameters = CardParameters
    metrics: Final[Mapping[str, str]] = {
        "license_allowed": "1 when every licence of the card is allowed, else 0",
        "missing_keys": "required keys that are missing or empty",
        "keys": "keys at the top level of the card",
    }
    ranges: Final[Mapping[str, tuple[float, float]]] = {
        "license_allowed": (0, 1),
        "missing_keys": (0, math.inf),
        "keys": (0, math.inf),
    }
    queue = "io"
    time_limit = 60.0

    def __init__(self, parameters: CardParameters, /) -> None:
        self._allowed = parameters.licences
        self._required = parameters.require

    def measure(self, subject: Subject, room: Room) -> Findings:
        """Measure the card of exactly this revision; never fails."""
        card = subject.description.card
        metrics, notes = [Metric("keys", len(card))], []
        if self._allowed is not None:
            found = licences(card)
            allowed = {name.lower() for name in self._allowed}
            fine = bool(found) and all(name.lower() in allowed for name in found)
            metrics.append(Metric("license_allowed", int(fine)))
            named = ", ".join(found) or "none"
            verb = "is" if fine else "is not"
            notes.append(f"licence {named} {verb} among {', '.join(self._allowed)}")
        missing = [key for key in self._required if _empty(_at(card, key))]
        metrics.append(Metric("missing_keys", len(missing), higher_is_better=False))
        if missing:
            notes.append(f"the card lacks {', '.join(missing)}")
        return Findings(metrics=tuple(metrics), notes=tuple(notes))


def licences(card: Mapping[str, Json]) -> Sequence[str]:
    """The licences that a card names: one, a list, or none. Instead of "other" comes the name
    that the card gives in license_name, where it does.

    https://huggingface.co/docs/hub/repositories-licenses
    """
    written = card.get("license")
    listed = [written] if isinstance(written, str) else written
    names = [n for n in listed if isinstance(n, str) and n] if isinstance(listed, list) else []
    other = card.get("license_name")
    return [other if n == "other" and isinstance(other, str) and other else n for n in names]


def _at(card: Mapping[str, Json], key: str) -> Json:
    if key in card:
        return card[key]
    found: Json = card
    for part in key.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _empty(value: Json) -> bool:
    return value is None or value == "" or (isinstance(value, Mapping | list) and not value)
