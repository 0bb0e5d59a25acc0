"""Rows and values: nothing is lost on the way, and old rows stay readable."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proctor.core.names import Repo
from proctor.core.record import Entry
from proctor.core.registry import Commit
from proctor.ledger.codec import decoder, dumps, loads
from proctor.ledger.mapping import ROWS, to_row
from proctor.ledger.tables import table
from proctor.ledger.text import escape, unescape
from proctor.testing.contracts.ledger_samples import NEW, REPO, T0, an_entry

any_text = st.text(st.characters(exclude_categories=[]) | st.sampled_from("\x00\x10\ud83d\ude00"))


@given(any_text)
def test_escaped_text_is_storable_and_comes_back(text: str) -> None:
    stored = escape(text)
    stored.encode()
    assert "\x00" not in stored
    assert unescape(stored) == text


@given(any_text, any_text)
def test_no_two_strings_share_a_form(one: str, other: str) -> None:
    assert (escape(one) == escape(other)) == (one == other)


@given(any_text, st.floats(allow_nan=False))
def test_json_text_is_plain_ascii(text: str, number: float) -> None:
    commit = Commit(NEW, text, (text, ""), number)
    written = dumps(commit)
    assert written.isascii()
    assert loads(written, Commit) == commit


@pytest.mark.parametrize("cls", list(ROWS), ids=lambda cls: cls.__name__)
def test_every_field_has_its_column(cls: type) -> None:
    columns = set(table(ROWS[cls]).columns.keys())
    assert {f.name for f in fields(cls)} <= columns


def test_rows_outlive_a_change_of_the_values() -> None:
    older = json.loads(dumps(Commit(NEW, "t", (), T0)))
    newer = {**older, "signed_by": "not known yet"}
    assert decoder(Commit)(newer) == Commit(NEW, "t", (), T0)
    repo = json.loads(dumps(REPO))
    del repo["private"]
    assert loads(json.dumps(repo), Repo).private is False


def test_what_json_cannot_hold_is_refused() -> None:
    with pytest.raises(TypeError):
        dumps({"raw": b"bytes"})
    with pytest.raises(TypeError):
        dumps({1: "one"})

    @dataclass
    class Odd:
        when: complex

    with pytest.raises(TypeError):
        decoder(Odd)


def test_copied_columns_say_what_the_value_says() -> None:
    entry = an_entry(NEW, T0)
    row = to_row(entry)
    assert isinstance(entry, Entry)
    assert (row["revision"], row["hub_id"]) == (NEW, "r1")
