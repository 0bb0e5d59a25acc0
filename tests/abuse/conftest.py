"""Abuse of the receiver, on both databases. Whatever a test does, no secret may be left behind."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from sqlalchemy import create_engine, inspect, text
from tests.web.conftest import SECRET, Ask, Site, running

SPELLINGS = {SECRET, quote(SECRET, safe=""), quote(SECRET), quote_plus(SECRET)}


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.db'}"
    found: str = request.getfixturevalue("postgres_url")
    return found


@pytest.fixture
def start(url: str, caplog: pytest.LogCaptureFixture) -> Iterator[Callable[..., Site]]:
    """Starts a site: `start(limits=…)` with the fields of `Ask`. Afterwards every row and every
    line of the log is searched for the secret, in all its spellings."""
    caplog.set_level(logging.DEBUG)
    with ExitStack() as stack:
        yield lambda **ask: stack.enter_context(running(url, Ask(**ask)))
    for spelling in SPELLINGS:
        assert spelling not in caplog.text
        assert all(spelling.encode() not in cell for cell in cells(url))


@pytest.fixture
def site(start: Callable[..., Site]) -> Site:
    """A site as it comes."""
    return start()


def cells(url: str) -> Iterator[bytes]:
    """All that is in the database."""
    engine = create_engine(url)
    try:
        names = inspect(engine).get_table_names()
        with engine.connect() as connection:
            for name in names:
                for row in connection.execute(text(f'SELECT * FROM "{name}"')):  # noqa: S608 - our own tables
                    for value in row:
                        yield (
                            bytes(value)
                            if isinstance(value, bytes | memoryview)
                            else (str(value).encode("utf-8", "surrogatepass"))
                        )
    finally:
        engine.dispose()
