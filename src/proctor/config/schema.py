"""The JSON Schema of proctor.yaml, with the parameters of the built-in plugins.

`python -m proctor.config.schema` prints it; docs/reference/proctor.schema.json is its output.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from proctor import plugins
from proctor.config.model import FileWritten
from proctor.config.plugged import SERVICES

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def schema() -> dict[str, Any]:
    """The schema, the same for every installation of this version: plugins of others are allowed
    with any parameters."""
    checks, channels = _built_in(plugins.CHECKS), _built_in(plugins.NOTIFIERS)
    models: list[type[BaseModel]] = [FileWritten, *checks.values(), *channels.values()]
    places, whole = models_json_schema(
        [(model, "validation") for model in models], ref_template="#/$defs/{model}"
    )
    definitions = whole["$defs"]

    def definition(model: type[BaseModel]) -> tuple[str, dict[str, Any]]:
        name = places[model, "validation"]["$ref"].removeprefix("#/$defs/")
        return name, definitions[name]

    check = definitions["CheckWritten"]
    check["allOf"] = []
    for use, model in checks.items():
        name, found = definition(model)
        needed = {"required": ["with"]} if found.get("required") else {}
        parameters = {"properties": {"with": {"$ref": f"#/$defs/{name}"}}}
        check["allOf"].append(_when(use, parameters | needed))
    channel = definitions["ChannelWritten"]
    channel["allOf"] = []
    for use, model in channels.items():
        name, found = definition(model)
        # The parameters stand beside `use`, so each notifier's own keys have to allow it.
        found["properties"] = {"use": {"type": "string"}, **found.get("properties", {})}
        uses = [use, *SERVICES] if use == "apprise" else [use]
        channel["allOf"] += [_when(each, {"$ref": f"#/$defs/{name}"}) for each in uses]
    top = definitions.pop("FileWritten")
    head = {"$schema": DIALECT, "title": "proctor.yaml"}
    return head | {k: v for k, v in top.items() if k != "title"} | {"$defs": definitions}


def _built_in(group: str) -> Mapping[str, type[BaseModel]]:
    ours = [p for p in entry_points(group=group) if p.value.startswith("proctor.")]
    catalogue: plugins.Catalogue[object] = plugins.Catalogue(group, ours)
    return {name: catalogue[name].Parameters for name in catalogue}


def _when(use: str, then: dict[str, Any]) -> dict[str, Any]:
    return {"if": {"properties": {"use": {"const": use}}, "required": ["use"]}, "then": then}


def text() -> str:
    """The schema as the published file holds it."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(text())
