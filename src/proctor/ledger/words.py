"""The column type of strings."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Dialect, Text
from sqlalchemy.types import TypeDecorator

from proctor.ledger.text import escape, unescape


class Words(TypeDecorator[str]):
    """TEXT that brings any Python string there and back."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        """Python to SQL."""
        return None if value is None else escape(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> str | None:
        """SQL to Python."""
        return None if value is None else unescape(value)
