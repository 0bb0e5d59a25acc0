"""A lenient walk over a document that may be malformed: what is not there is skipped, because its
shape has been complained about already."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from proctor.config.problem import Complaint, Path_
from proctor.config.source import Document


@dataclass(frozen=True, slots=True)
class Node:
    """A value of the document, and where it is."""

    document: Document
    path: Path_ = ()

    @property
    def value(self) -> Any:
        """The plain value, None when there is none."""
        return self.document.at(self.path)

    def __truediv__(self, part: str | int) -> Node:
        return Node(self.document, (*self.path, part))

    def text(self, key: str) -> str | None:
        """The text at `key`, or None when it is something else or not there."""
        found = (self / key).value
        return found if isinstance(found, str) else None

    def items(self, key: str) -> Iterator[Node]:
        """The items of the list at `key`."""
        found = (self / key).value
        for i in range(len(found) if isinstance(found, list) else 0):
            yield self / key / i

    def texts(self, key: str) -> Iterator[tuple[Node, str]]:
        """The texts of the list at `key`."""
        for node in self.items(key):
            if isinstance(node.value, str):
                yield node, node.value

    def entries(self, key: str) -> Iterator[tuple[str, Node]]:
        """The values of the mapping at `key` by name."""
        found = (self / key).value
        for name in list(found) if isinstance(found, dict) else []:
            yield name, self / key / name

    def wrong(self, problem: str, remedy: str, *, key: bool = False) -> Complaint:
        """A complaint about this value."""
        return Complaint(self.path, problem, remedy, key)


def check_names(pipeline: Node) -> list[str]:
    """The names of a pipeline's checks: `name`, else `use`."""
    named = (c.text("name") or c.text("use") for c in pipeline.items("checks"))
    return [name for name in named if name]
