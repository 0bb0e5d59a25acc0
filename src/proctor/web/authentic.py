"""Who may post: the webhook secret, and keeping it out of everything that is kept."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final
from urllib.parse import unquote_plus, unquote_to_bytes

from proctor.core.errors import Refused
from proctor.core.secret import Secret, redact

RawHeaders = Iterable[tuple[bytes, bytes]]

_HEADER: Final = b"x-webhook-secret"
_PRIVATE_HEADERS: Final = frozenset(
    {_HEADER, b"authorization", b"proxy-authorization", b"cookie", b"set-cookie"}
)
_PRIVATE_WORDS: Final = (b"secret", b"token", b"password", b"api-key", b"apikey", b"jwt")


class Gate:
    """Knows the secrets of which any opens the door. repr and errors never show them.

    The Hub sends the secret as it is, in a header or in the URL that the user registered; there
    is no signature (https://huggingface.co/docs/hub/webhooks#webhook-secret). Several secrets are
    valid at a time, so that they can be rotated without a lost delivery.
    """

    def __init__(self, secrets: Sequence[Secret]) -> None:
        """Raises Refused when a secret could never match. No secrets: everyone may post."""
        for secret in secrets:
            text = secret.reveal()
            # "Only ASCII characters are supported", and HTTP strips spaces around a header.
            if not text or not text.isascii() or not text.isprintable() or text != text.strip():
                raise Refused(
                    "a webhook secret must be printable ASCII, without spaces around it: "
                    "the Hub could not send this one; choose another in PROCTOR_WEBHOOK_SECRETS"
                )
        self._secrets = tuple(secrets)
        self._shortest = min((len(s.reveal()) for s in secrets), default=0)
        # Digests have one length: comparing them tells nothing about the length of a secret.
        self._digests = tuple(_digest(s.reveal().encode("ascii")) for s in secrets)

    @property
    def open(self) -> bool:
        """Whether no secret is configured: anyone who reaches the port may post."""
        return not self._digests

    def refusal(self, headers: RawHeaders, query: bytes) -> str | None:
        """Why this request may not post, or None when it may. Never shows what was presented.

        `query` is the raw query string. Every secret presented has to be right: a request with a
        right and a wrong one is as suspect as one with two headers.
        """
        if self.open:
            return None
        in_header = [value for name, value in headers if name == _HEADER]
        in_query = [value for name, value in _pairs(query) if name == b"secret"] if query else []
        if len(in_header) == 1 and not query:  # as nearly all come
            if not in_header[0]:
                return "the webhook secret is missing"
            return None if self._matches(in_header) else "the webhook secret is wrong"
        if len(in_header) > 1 or len(in_query) > 1:
            return "the webhook secret is there twice"
        presented = [{value} for value in in_header] + [_decodings(value) for value in in_query]
        if not presented or any(not any(readings) for readings in presented):
            return "the webhook secret is missing"
        right = [self._matches(readings) for readings in presented]
        return None if all(right) else "the webhook secret is wrong"

    def _matches(self, readings: Iterable[bytes]) -> bool:
        found = False
        for value in readings:
            presented = _digest(value)
            for known in self._digests:  # all of them, always: no early way out
                found |= hmac.compare_digest(presented, known)
        return found

    def kept(self, headers: RawHeaders) -> tuple[tuple[str, str], ...]:
        """The headers that may be stored, as text: none by which someone could pose as another,
        and none that holds a configured secret (proxies copy the URL into headers)."""
        ours = [header for header in headers if not _private(header[0])]
        # One look at all of them: no secret holds a line break, so none is overlooked.
        if self.holds_secret(b"\n".join([value for _, value in ours])):
            ours = [header for header in ours if not self.holds_secret(header[1])]
        return tuple([(name.decode("latin-1"), value.decode("latin-1")) for name, value in ours])

    def scrub(self, text: str) -> str:
        """`text` without a configured secret, a Hub token or a password in a URL."""
        return redact(text, self._secrets)

    def holds_secret(self, value: bytes) -> bool:
        """Whether a configured secret can be read in `value`, as it is or decoded."""
        if len(value) < self._shortest:  # no reading is longer than what is written
            return False
        known = [s.reveal().encode("ascii") for s in self._secrets]
        for secret in known:
            if secret in value:
                return True
        if b"%" not in value and b"+" not in value:
            return False
        return any(secret in reading for reading in _decodings(value) for secret in known)


@lru_cache(maxsize=1000)
def _private(name: bytes) -> bool:
    return name in _PRIVATE_HEADERS or any(word in name for word in _PRIVATE_WORDS)


def _digest(value: bytes) -> bytes:
    return hashlib.sha256(value).digest()


def _pairs(query: bytes) -> Iterable[tuple[bytes, bytes]]:
    for part in query.split(b"&"):
        name, _, value = part.partition(b"=")
        yield unquote_to_bytes(name), value


def _decodings(value: bytes) -> set[bytes]:
    """What a value in a URL may mean: "+" is a space where it was written by a form, and itself
    where a person put the secret into the URL by hand."""
    by_form = unquote_plus(value.decode("latin-1"), "latin-1").encode("latin-1", "replace")
    return {unquote_to_bytes(value), by_form}
