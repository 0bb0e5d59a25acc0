"""What changed between two revisions, by kind of file."""

from __future__ import annotations

import pytest

from proctor.core.names import Revision
from proctor.core.registry import Description, File, changed


def described(**oids: str) -> Description:
    files = tuple(File(path, 1, oid) for path, oid in oids.items())
    return Description(Revision("a" * 40), files=files)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("README.md", "card"),
        ("docs/readme.MD", "card"),
        ("model.safetensors", "weights"),
        ("model.safetensors.index.json", "weights"),
        ("onnx/model.onnx", "weights"),
        ("pytorch_model.bin", "weights"),
        ("tokenizer.json", "tokenizer"),
        ("tokenizer_config.json", "tokenizer"),
        ("vocab.txt", "tokenizer"),
        ("merges.txt", "tokenizer"),
        ("special_tokens_map.json", "tokenizer"),
        ("added_tokens.json", "tokenizer"),
        ("config.json", "config"),
        ("generation_config.json", "config"),
        ("modeling.py", "other"),
        ("notes/readme.md.txt", "other"),
    ],
)
def test_the_kind_of_each_file(path: str, kind: str) -> None:
    assert changed(described(), described(**{path: "1"})) == (kind,)


def test_without_an_older_entry_all_that_exists_has_changed() -> None:
    new = described(**{"README.md": "1", "config.json": "2"})
    assert changed(None, new) == ("card", "config")
    assert changed(None, described()) == ()


def test_only_what_differs_is_told_whether_new_changed_or_gone() -> None:
    old = described(**{"README.md": "1", "config.json": "2", "vocab.txt": "3"})
    new = described(**{"README.md": "1", "config.json": "9", "model.bin": "4"})
    assert changed(old, new) == ("config", "tokenizer", "weights")
    assert changed(old, old) == ()
