"""Notices as signed webhooks: https://github.com/standard-webhooks/standard-webhooks"""

from __future__ import annotations

import base64
import binascii
import json
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime
from email.message import Message
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from typing import Final
from urllib.parse import quote, urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator
from standardwebhooks.webhooks import Webhook

from proctor import __version__
from proctor.core.errors import PermanentError, TransientError
from proctor.core.notice import Notice
from proctor.core.secret import Secret, redact
from proctor.notifiers.bounded import within

_LONGEST_DELAY: Final = 86_400.0  # seconds; a server that asks for more is not believed
_LATER: Final = (408, 425, 429)


class WebhookParameters(BaseModel):
    """Where to, and signed with what."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    url: Secret = Field(description="http:// or https:// URL; best written as env:NAME.")
    secret: Secret = Field(
        description="Signing secret, whsec_ and base64 of 24 to 64 bytes; as env:NAME."
    )
    timeout: float = Field(default=10.0, gt=0, le=60, description="Longest wait in seconds.")

    @field_validator("url")
    @classmethod
    def _is_url(cls, url: Secret) -> Secret:
        try:
            parts = urlsplit(url.reveal())
            fine = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            fine = False
        if not (fine and url.reveal().isascii() and url.reveal().isprintable()):
            raise ValueError("is not an http:// or https:// URL")
        if parts.username or parts.password:
            raise ValueError("has a user or password: the signature is what proves the sender")
        return url

    @field_validator("secret")
    @classmethod
    def _is_key(cls, secret: Secret) -> Secret:
        written = secret.reveal()
        try:
            key = base64.b64decode(written.removeprefix("whsec_"), validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if not written.startswith("whsec_") or not 24 <= len(key) <= 64:
            raise ValueError(
                "should be whsec_ and the base64 of 24 to 64 random bytes "
                '(make one: echo "whsec_$(openssl rand -base64 32)")'
            )
        return secret


class WebhookNotifier:
    """Posts each notice as signed JSON, after the Standard Webhooks specification.

        channels:
          ops: {use: webhook, url: "env:OPS_URL", secret: "env:OPS_SECRET"}

    Headers: `webhook-id` (the notice's key, the same on every retry, with _ for .),
    `webhook-timestamp`, `webhook-signature`. Any Standard Webhooks library verifies them.
    Body: `{"type": "run.held", "timestamp": "2026-01-31T12:00:00Z", "data": {"key", "severity",
    "title", "text", "facts": [{"label", "text"}], "link"}}`.

    Any 2xx is a success. 408, 425, 429, 5xx and no answer are tried again (Retry-After is
    honoured); every other answer is final. Redirects are not followed: give the last URL.
    """

    Parameters = WebhookParameters

    def __init__(self, parameters: WebhookParameters, /) -> None:
        self._asked = parameters
        self._signer = Webhook(parameters.secret.reveal())
        self._opener = urllib.request.build_opener(_NoRedirects)

    def send(self, notice: Notice) -> None:
        """Post it once. Raises TransientError or PermanentError."""
        now = datetime.now(UTC)
        body = _body(notice, now)
        # The signed content is id.timestamp.body: a full stop in the id would make it ambiguous.
        key = quote(notice.key.replace(".", "_"), safe=":@/-_")
        request = urllib.request.Request(  # noqa: S310 - the parameters allow http(s) only
            self._asked.url.reveal(),
            data=body.encode(),
            method="POST",
            headers={
                "Content-Type": "application/json",
                "User-Agent": f"proctor/{__version__}",
                "webhook-id": key,
                "webhook-timestamp": str(int(now.timestamp())),
                "webhook-signature": self._signer.sign(key, now, body),
            },
        )
        within(self._asked.timeout, lambda: self._post(request))

    def _post(self, request: urllib.request.Request) -> None:
        try:
            with self._opener.open(request, timeout=self._asked.timeout):
                return
        except urllib.error.HTTPError as e:
            with e:
                raise _refusal(e.code, e.headers) from None
        except (OSError, HTTPException) as e:
            # `from None`: the chain would carry the URL into tracebacks.
            secrets = (self._asked.url, self._asked.secret)
            raise TransientError(f"not delivered: {redact(_reason(e), secrets)}") from None


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect is an answer like any other: following it would send the notice elsewhere."""

    def redirect_request(self, *_: object, **__: object) -> None:
        return None


def _body(notice: Notice, now: datetime) -> str:
    return json.dumps(
        {
            "type": notice.kind,
            "timestamp": now.isoformat(timespec="seconds").replace("+00:00", "Z"),
            "data": {
                "key": notice.key,
                "severity": notice.severity.value,
                "title": notice.title,
                "text": notice.text,
                "facts": [{"label": label, "text": text} for label, text in notice.facts],
                "link": notice.link,
            },
        }
    )


def _reason(error: Exception) -> str:
    """What went wrong, without the words of the libraries around it."""
    inner = getattr(error, "reason", error)  # a URLError wraps what happened
    words = inner.strerror if isinstance(inner, OSError) else None
    text = str(words or inner) or type(error).__name__
    return text[:1].lower() + text[1:] if words else text


def _refusal(code: int, headers: Message) -> PermanentError | TransientError:
    if code in _LATER or code >= 500:
        return TransientError(f"webhook: the receiver answered {code}", delay=_delay(headers))
    if 300 <= code < 400:
        return PermanentError(f"webhook: the receiver answered {code}, a redirect; correct `url`")
    return PermanentError(f"webhook: the receiver answered {code}; it will not take this notice")


def _delay(headers: Message) -> float | None:
    """Retry-After in seconds: https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3"""
    written = (headers.get("Retry-After") or "").strip()
    if written.isascii() and written.isdigit():
        return min(float(written[:9]), _LONGEST_DELAY)
    try:
        moment = parsedate_to_datetime(written)
        return min(max(moment.timestamp() - time.time(), 0.0), _LONGEST_DELAY)
    except (TypeError, ValueError, OverflowError):
        return None
