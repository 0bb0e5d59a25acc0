"""Secrets do not show, and texts can be cleaned of them."""

from __future__ import annotations

import copy
import json
import pickle
import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, ValidationError

from proctor.core.secret import HIDDEN, Secret, redact, secrets_in


class Model(BaseModel):
    model_config = ConfigDict(hide_input_in_errors=True)

    key: Secret
    more: list[Secret] = []


def test_no_way_of_printing_shows_it() -> None:
    secret = Secret("geheim")
    model = Model(key=secret, more=[secret])
    for text in (
        repr(secret), str(secret), f"{secret}", f"{secret!s:>20}", "%s" % secret,  # noqa: UP031 - the old way must not show it either
        repr([secret]), repr(model), model.model_dump_json(), str(model.model_dump()),
    ):  # fmt: skip
        assert "geheim" not in text
    assert secret.reveal() == "geheim"


def test_it_cannot_leave_the_process() -> None:
    with pytest.raises(TypeError):
        pickle.dumps(Secret("geheim"))
    with pytest.raises(TypeError):
        json.dumps({"key": Secret("geheim")})
    assert copy.deepcopy(Secret("geheim")) == Secret("geheim")


def test_models_take_text_or_secret_and_nothing_else() -> None:
    assert Model.model_validate({"key": "a"}) == Model(key=Secret("a"))
    assert Model.model_json_schema()["properties"]["key"] == {
        "title": "Key",
        "type": "string",
        "writeOnly": True,
    }
    hidden = "".join(("ge", "heim"))  # a traceback shows the source, this line too
    with pytest.raises(ValidationError) as caught:
        Model.model_validate({"key": [hidden]})
    assert "geheim" not in "".join(traceback.format_exception(caught.value))


def test_equality_is_by_value() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a")}) == 1
    assert not Secret("")


@pytest.mark.parametrize(
    ("text", "secrets", "clean"),
    [
        ("token hf_abcDEF123456 refused", [], "token *** refused"),
        ("no hf_home here", [], "no hf_home here"),
        ("at redis://:pa55@h:1/0", [], "at redis://:***@h:1/0"),
        ("at postgresql+psycopg://u:p:w@h/db!", [], "at postgresql+psycopg://u:***@h/db!"),
        ("https://h:80/a@b", [], "https://h:80/a@b"),
        ("key swordfish!", ["swordfish"], "key ***!"),
        ("long swordfish2, swordfish", ["swordfish", "swordfish2"], "long ***, ***"),
        ("path /services/T00/B00/XYZabcdef", ["https://h/services/T00/B00/XYZabcdef"], "path /***"),
        ("only XYZabcdef", ["https://h.example/services/T00/XYZabcdef"], "only ***"),
        ("query k3yk3yk3y", ["https://h.example/?token=k3yk3yk3y"], "query ***"),
        ("host abcdefgh", ["slack://abcdefgh/x"], "host ***"),
        ("unquoted p@ssw0rd", ["mailto://me:p%40ssw0rd@mail.example"], "unquoted ***"),
        ("ordinary as a word", ["as"], "ordinary as a word"),
    ],
)
def test_redaction(text: str, secrets: list[str], clean: str) -> None:
    assert redact(text, map(Secret, secrets)) == clean


@given(
    st.text(min_size=4).filter(lambda s: s not in HIDDEN * 3),
    st.text(),
    st.text(),
)
def test_no_secret_survives_redaction(secret: str, before: str, after: str) -> None:
    text = redact(f"{before}{secret}{after}", [Secret(secret)])
    # Hiding may itself form the secret's text only out of asterisks and its surroundings.
    assert secret not in text or "*" in secret


def test_secrets_are_found_at_any_depth() -> None:
    nested = {"a": [Secret("1"), {"b": (Secret("2"), "3")}], "c": 4}
    assert [s.reveal() for s in secrets_in(nested)] == ["1", "2"]
