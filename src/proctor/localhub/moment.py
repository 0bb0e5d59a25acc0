"""Time and fresh ids, in the shapes that the Hub's answers use."""

import secrets
import time
from datetime import UTC, datetime


def now() -> float:
    """Seconds since the epoch."""
    return time.time()


def iso(at: float) -> str:
    """UTC with milliseconds and a ``Z``, as the Hub writes dates (``parse_datetime`` reads it)."""
    text = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def fresh_id() -> str:
    """24 hex digits: the Hub's ids look like MongoDB object ids."""
    return secrets.token_hex(12)
