"""Channels that load and can never send: a service that nobody knows, a URL of another service.

Apart from `load`, because building a notifier may import much: `proctor lint` and `doctor` do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from proctor import plugins
from proctor.config import source
from proctor.config.node import Node
from proctor.config.problem import Problem
from proctor.core.errors import ProctorError
from proctor.core.rule import Rules
from proctor.core.secret import Secret, leaves, redact


def unusable(rules: Rules) -> Mapping[str, str]:
    """Why channels cannot be built, by name. Holds no secret; nothing is sent."""
    found = {}
    for name, channel in rules.channels.items():
        try:
            plugins.build_notifier(channel)
        except ProctorError as error:
            found[name] = redact(str(error), _held(channel.parameters))
        except Exception as error:  # a stranger's notifier may raise anything
            said = f"{type(error).__name__}: {error}"
            found[name] = redact(said, _held(channel.parameters))
    return found


def look(path: Path, rules: Rules) -> tuple[Problem, ...]:
    """The channels of a file that loads which cannot be built, with their lines."""
    document = source.read(path)
    channels = Node(document) / "channels"
    remedy = "Correct it: nothing can be sent to it."
    return tuple(
        document.problem((channels / name).wrong(f"channel {name} cannot be used: {why}", remedy))
        for name, why in unusable(rules).items()
    )


def _held(value: object) -> Iterator[Secret]:
    """What must not be shown: secrets, and URLs that are written in the file as they are."""
    for leaf in leaves(value):
        if isinstance(leaf, Secret):
            yield leaf
        elif isinstance(leaf, str) and "://" in leaf:
            yield Secret(leaf)
