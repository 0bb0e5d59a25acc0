"""What may be written below `with:`."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from proctor.checks.lm_eval.parameters import Parameters


def test_every_field_is_described() -> None:
    assert [n for n, f in Parameters.model_fields.items() if not f.description] == []


def test_it_survives_json() -> None:
    given = Parameters(tasks=("a",), limit=0.5, gen_kwargs={"until": ("\n",), "temperature": 0.5})
    assert Parameters.model_validate(given.model_dump(mode="json")) == given


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"tasks": []},
        {"tasks": ["a", "a"]},
        {"tasks": [" "]},
        {"limit": 0},
        {"limit": 1.5},
        {"batch_size": 0},
        {"device": "tpu; rm -rf"},
        {"dtype": "int3"},
        {"venue": "moon"},
        {"time_limit": 0},
        {"use_cache": "answers.db"},
        {"cache_requests": True},
        {"model_args": "token=hf_x"},
    ],
)
def test_what_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Parameters.model_validate({"tasks": ["a"], **wrong} if wrong else wrong)


def test_a_limit_keeps_its_kind() -> None:
    assert [Parameters(tasks=("a",), limit=n).limit for n in (0.25, 1, 50.0)] == [0.25, 1, 50]
