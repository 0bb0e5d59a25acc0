"""Addresses of databases are read in one way, which is SQLAlchemy's."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import make_url
from sqlalchemy.dialects.postgresql.psycopg import dialect as psycopg_dialect

from proctor.core.address import read_address
from proctor.ledger.engine import read_url

make_dialect: Any = psycopg_dialect  # it has no types

POSTGRES = [
    "postgresql://db/x",
    "postgres://me@db:5433/x",
    "postgresql+psycopg://me:secret@db:5433/x",
    "postgresql://me:se%2Fcret@db/x",
    "postgresql://me:se/c?r#e[t@db/x",
    "postgresql://me:100%@db/x",
    "postgresql://:secret@/x",
    "postgresql://me@[::1]:5432/x",
    "postgresql:///x?host=/run/postgresql",
    "postgresql://me@/x?host=/a%20b&options=-c+search_path%3Dy&sslmode=require",
    "postgresql://me@db/x?prepare_threshold=0",
    "postgresql://me@/x?host=one:5432&host=two:5433",
    "postgresql://me@/x?host=one&host=two",
]


@pytest.mark.parametrize("url", POSTGRES)
def test_it_means_what_sqlalchemy_makes_of_it(url: str) -> None:
    theirs = make_url(url.replace("postgres://", "postgresql://"))
    ours = read_url(url)
    assert ours == theirs.set(drivername="postgresql+psycopg")
    _, arguments = make_dialect().create_connect_args(ours)
    context = arguments.pop("context", None)  # of SQLAlchemy's own
    assert context is None or context
    told = {name: str(value) for name, value in arguments.items() if value not in (None, "")}
    assert read_address(url).arguments() == told


@pytest.mark.parametrize("url", ["sqlite:///x.db", "sqlite:////a/b%20c.db", "sqlite://"])
def test_a_file(url: str) -> None:
    assert read_url(url) == make_url(url)
    assert read_address(url).database == make_url(url).database


def test_the_place_shows_nothing_of_a_secret() -> None:
    for url in POSTGRES:
        address = read_address(url)
        assert "me" not in address.place and "@" not in address.place
        assert not address.password or address.password not in address.place + repr(address)
    assert read_address("postgresql://me:a/b@db:5433/x?host=y").place == (
        "postgresql+psycopg://db:5433/x"
    )
    assert read_address("postgresql://me@[::1]:5/x").place == "postgresql+psycopg://[::1]:5/x"


@pytest.mark.parametrize(
    "url",
    ["", "x", "mysql://u:hush@h/x", "hush://x", "postgresql://u:hush@h:port/x", "sqlite:///a?b=c"],
)
def test_what_is_none_is_refused_without_a_word_of_it(url: str) -> None:
    with pytest.raises(ValueError) as refused:
        read_address(url)
    assert "hush" not in str(refused.value)
