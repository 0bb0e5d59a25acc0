"""What lets a test pass on a machine that stands still for a while."""

from __future__ import annotations


def patient(postgres_url: str) -> str:
    """The same database, whose locks are waited for a minute: whoever holds one may stand still."""
    options = "-c lock_timeout=60000 -c statement_timeout=60000"
    return f"{postgres_url}&options={options.replace(' ', '%20').replace('=', '%3D')}"
