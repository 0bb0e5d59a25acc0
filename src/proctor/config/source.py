"""From the bytes of proctor.yaml to plain values that know their lines.

The YAML is composed to nodes and walked here, rather than loaded, so that every value has its
place, every duplicate key is told and no alias can blow up: size, depth and number of values are
bounded before anything is built.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, StringMark, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from proctor.config.problem import Complaint, ConfigError, Path_, Problem

MAX_BYTES: Final = 262_144
MAX_VALUES: Final = 20_000  # with every alias written out
MAX_DEPTH: Final = 32

Place: TypeAlias = tuple[int, int]  # line and column, from 1
_TAG: Final = "tag:yaml.org,2002:"


@dataclass(slots=True)
class Document:
    """A configuration file as plain values. `complaints` are what the text itself got wrong."""

    file: str
    value: Any = None
    values: dict[Path_, Place] = field(default_factory=dict)
    keys: dict[Path_, Place] = field(default_factory=dict)
    complaints: list[Complaint] = field(default_factory=list)

    def at(self, path: Path_) -> Any:
        """The value at `path`, or None when there is none."""
        found = self.value
        for part in path:
            if isinstance(found, Mapping):
                found = found.get(part)
            elif isinstance(found, list) and isinstance(part, int) and part < len(found):
                found = found[part]
            else:
                return None
        return found

    def problem(self, complaint: Complaint) -> Problem:
        """The complaint with the line and column of the nearest thing that is written."""
        path = complaint.path
        while path and path not in self.values and path not in self.keys:
            path = path[:-1]
        # A collection "starts" at its first entry: its key is the better place to point at.
        by_key = complaint.key or isinstance(self.at(path), Mapping | list)
        first, second = (self.keys, self.values) if by_key else (self.values, self.keys)
        line, column = first.get(path) or second.get(path) or (1, 1)
        return Problem(self.file, line, column, complaint.problem, complaint.remedy)


def read(path: Path) -> Document:
    """Read a file. Raises ConfigError when its text cannot be understood at all, FileNotFoundError
    when it is not there."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise
    except OSError as e:
        raise _hopeless(path, f"cannot be read ({e.strerror})", "Check path and rights.") from e
    if len(raw) > MAX_BYTES:
        raise _hopeless(
            path, f"is larger than {MAX_BYTES // 1024} KiB", "Is it the right file? Shorten it."
        )
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as e:
        line = raw.count(b"\n", 0, e.start) + 1
        raise _hopeless(path, "is not UTF-8 text", "Save it as UTF-8.", line) from e
    document = Document(str(path))
    reader = _Reader(document)
    try:
        node = YAML(typ="safe", pure=True).compose(text)
        if node is not None:
            document.value = reader.value(node, ())
    except RecursionError as e:
        raise _hopeless(path, "is nested too deeply", "Flatten it.") from e
    except _TooMuch as e:
        raise _hopeless(path, *e.args) from e
    except YAMLError as e:
        raise _unreadable(path, e) from e
    return document


def _hopeless(path: Path, problem: str, remedy: str, line: int = 1, column: int = 1) -> ConfigError:
    return ConfigError([Problem(str(path), line, column, problem, remedy)])


def _unreadable(path: Path, error: YAMLError) -> ConfigError:
    line = column = 1
    problem = "is not YAML"
    if isinstance(error, MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        if isinstance(mark, StringMark):
            line, column = mark.line + 1, mark.column + 1
        told = " ".join(str(part) for part in (error.context, error.problem) if part)
        problem = f"is not YAML: {told}" if told else problem
    else:
        # The reader's errors have no mark; their first line tells the character and its position.
        problem = f"{problem}: {str(error).splitlines()[0]}"
    return _hopeless(
        path, problem, "Mend the syntax here; indent with spaces, quote odd text.", line, column
    )


class _TooMuch(Exception):
    """The document unfolds to more than a configuration can need: problem and remedy."""


class _Reader:
    """Builds plain values out of nodes, noting their places."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.count = 0

    def value(self, node: Node, path: Path_) -> Any:
        self.count += 1
        if self.count > MAX_VALUES:
            raise _TooMuch(
                f"unfolds to more than {MAX_VALUES} values",
                "Shorten it; an alias counts as all that it stands for.",
            )
        if len(path) > MAX_DEPTH:
            raise _TooMuch(f"is nested more than {MAX_DEPTH} deep", "Flatten it.")
        self.document.values[path] = _place(node)
        tag = str(node.tag)
        if isinstance(node, MappingNode) and tag == f"{_TAG}map":
            return self.mapping(node, path)
        if isinstance(node, SequenceNode) and tag == f"{_TAG}seq":
            return [self.value(item, (*path, i)) for i, item in enumerate(node.value)]
        if isinstance(node, ScalarNode):
            return self.scalar(node, tag, path)
        return self.complain(path, f"the YAML tag {tag!r} has no meaning here", "Remove the tag.")

    def mapping(self, node: MappingNode, path: Path_) -> dict[str, Any]:
        found: dict[str, Any] = {}
        merged: list[Node] = []
        for key, value in node.value:
            if str(key.tag) == f"{_TAG}merge":
                merged += value.value if isinstance(value, SequenceNode) else [value]
                continue
            if not isinstance(key, ScalarNode):
                inner = (*path, "?")
                self.document.keys[inner] = _place(key)
                self.complain(inner, "a key is not text", "Use plain words as keys.", key=True)
                continue
            name = str(key.value)
            inner = (*path, name)
            if name in found:
                first = self.document.keys[inner][0]
                self.document.keys[inner] = _place(key)
                self.complain(
                    inner, f"{name!r} is given twice (first in line {first})", "Keep one.", key=True
                )
                continue
            self.document.keys[inner] = _place(key)
            found[name] = self.value(value, inner)
        for other in merged:
            if not isinstance(other, MappingNode):
                self.complain(path, "`<<` takes mappings only", "Merge an anchored mapping.")
                continue
            self.merge(other, path, found)
        return found

    def merge(self, node: MappingNode, path: Path_, into: dict[str, Any]) -> None:
        """Add what the mapping does not say itself: https://yaml.org/type/merge.html"""
        shadow = _Reader(Document(self.document.file))
        shadow.count = self.count
        values = shadow.value(node, path)
        self.count = shadow.count
        for name, value in values.items():
            if name not in into:
                into[name] = value
                start = (*path, name)
                for mine, theirs in (
                    (self.document.keys, shadow.document.keys),
                    (self.document.values, shadow.document.values),
                ):
                    mine.update({p: at for p, at in theirs.items() if p[: len(start)] == start})

    def scalar(self, node: ScalarNode, tag: str, path: Path_) -> Any:
        text = str(node.value)
        kind = tag.removeprefix(_TAG)
        if kind == "null":
            return None
        if kind == "bool":
            return text.lower() == "true"
        if kind in ("int", "float"):
            return self.number(text, kind, path)
        if kind in ("str", "timestamp"):
            if "\0" in text:
                return self.complain(path, "the text has a NUL character", "Remove it.")
            return text
        return self.complain(path, f"the YAML tag {tag!r} has no meaning here", "Remove the tag.")

    def number(self, text: str, kind: str, path: Path_) -> int | float | None:
        plain = text.replace("_", "")
        try:
            number = int(plain, 0) if kind == "int" and plain.strip("+-0") else float(plain)
            if kind == "int":
                return int(number)
        except ValueError:
            try:
                number = int(plain) if kind == "int" else math.nan
            except ValueError:
                number = math.nan
        if isinstance(number, float) and not math.isfinite(number):
            self.complain(path, f"{text[:40]} is not a finite number", "Write a finite number.")
            return 0
        return number

    def complain(self, path: Path_, problem: str, remedy: str, *, key: bool = False) -> None:
        self.document.complaints.append(Complaint(path, problem, remedy, key))


def _place(node: Node) -> Place:
    mark = node.start_mark
    return (mark.line + 1, mark.column + 1)
