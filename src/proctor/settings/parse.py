"""From a variable's text to its value. Each parser raises Unusable, which never shows a secret."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from proctor.core.address import SQLITE, read_address
from proctor.core.secret import Secret


class Unusable(ValueError):
    """A variable's value cannot be used: the problem, and the remedy."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(problem)
        self.problem, self.remedy = problem, remedy


def path(value: str) -> Path:
    """A path, made absolute."""
    return Path(value).expanduser().absolute()


def secrets(value: str) -> tuple[Secret, ...]:
    """Comma-separated secrets that an HTTP header can hold."""
    secrets = [part.strip() for part in value.split(",")]
    for place, secret in enumerate(secrets, start=1):
        if not secret:
            raise Unusable(f"secret {place} of {len(secrets)} is empty", "Remove the extra comma.")
        if not (secret.isascii() and secret.isprintable()):
            raise Unusable(
                f"secret {place} of {len(secrets)} has characters that are not printable ASCII",
                "The Hub sends the secret as an HTTP header, which holds ASCII only: choose "
                "another, for example with `openssl rand -hex 32`.",
            )
    return tuple(Secret(s) for s in secrets)


def web_url(value: str) -> str:
    """An http(s) URL without its last slash, and without anything secret in it."""
    try:
        url = urlsplit(value)
        fine = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:
        fine = False
    if not fine:
        raise Unusable("is not an http:// or https:// URL", "Write it as https://host[:port].")
    if url.password or url.query or url.fragment:
        raise Unusable("has a password, query or fragment", "Write it as https://host[:port].")
    return value.rstrip("/")


def database(value: str) -> Secret:
    """The URL of a SQLite file or of PostgreSQL, with the driver that we use."""
    try:
        address = read_address(value)
    except ValueError as error:
        raise Unusable(
            str(error),
            "Use sqlite:///path.db or postgresql+psycopg://user:password@host/name; in the "
            "password write @ as %40 and % as %25.",
        ) from None
    if address.kind == SQLITE and address.database in (None, "", ":memory:"):
        raise Unusable(
            "SQLite in memory forgets everything and is not shared by web and workers",
            "Name a file: sqlite:///relative/path.db or sqlite:////absolute/path.db.",
        )
    return Secret(f"{address.kind}://{value.partition('://')[2]}")


def broker(value: str) -> Secret:
    """The URL of Redis or of a folder."""
    scheme, found, rest = value.partition("://")
    if found and scheme in ("redis", "rediss") and rest:
        _require_plain(value)
        return Secret(value)
    if found and scheme == "filesystem":
        if rest.startswith("/") and rest != "/":
            return Secret(value)
        raise Unusable("names no folder", "Write filesystem:///absolute/folder.")
    raise Unusable(
        f"{scheme[:30]!r} is not a broker that Proctor knows" if found else "is not a URL",
        "Use redis://host:6379/0, rediss://… or filesystem:///absolute/folder.",
    )


def _require_plain(url: str) -> None:
    """Raises Unusable for a URL whose password would be read as something else."""
    try:
        parts = urlsplit(url)
        _ = parts.port
        plain = "@" not in parts.path + parts.query + parts.fragment
    except ValueError:
        plain = False
    if not plain:
        raise Unusable(
            "cannot be read as a URL",
            "In the password write / as %2F, ? as %3F, # as %23, @ as %40, [ as %5B and % as %25.",
        )


def whole(low: int, high: int, unit: str = "") -> Callable[[str], int]:
    """A parser of whole numbers in [low, high]."""

    def parse(value: str) -> int:
        try:
            number = int(value)
        except ValueError:
            raise Unusable("is not a whole number", f"Give {low} to {high}{unit}.") from None
        if not low <= number <= high:
            raise Unusable(f"{number} is out of range", f"Give {low} to {high}{unit}.")
        return number

    return parse


def seconds(low: float, high: float) -> Callable[[str], float]:
    """A parser of seconds in [low, high]."""

    def parse(value: str) -> float:
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not low <= number <= high:
            raise Unusable(
                "is not a number of seconds in range", f"Give {low:g} to {high:g}, without a unit."
            )
        return number

    return parse


def level(value: str) -> str:
    """A log level, in capitals."""
    level = value.upper()
    if level not in ("DEBUG", "INFO", "WARNING", "ERROR"):
        raise Unusable("is not a log level", "Use DEBUG, INFO, WARNING or ERROR.")
    return level
