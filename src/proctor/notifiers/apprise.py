"""Notices through apprise: chat, e-mail, push and more than a hundred services."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import apprise
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from proctor.core.errors import PermanentError, TransientError
from proctor.core.notice import Notice, Severity
from proctor.core.secret import Secret, redact
from proctor.notifiers.bounded import within

_TYPES: Final = {
    Severity.INFO: apprise.NotifyType.INFO,
    Severity.SUCCESS: apprise.NotifyType.SUCCESS,
    Severity.WARNING: apprise.NotifyType.WARNING,
    Severity.FAILURE: apprise.NotifyType.FAILURE,
}


class AppriseParameters(BaseModel):
    """Where to."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    url: Secret | None = Field(default=None, description="One URL; best written as env:NAME.")
    urls: list[Secret] = Field(default_factory=list, description="Several URLs.")
    service: str | None = Field(
        default=None, description="The scheme of the service that every URL has to belong to."
    )
    timeout: float = Field(
        default=30.0, gt=0, le=120, description="Longest wait for each URL, in seconds."
    )

    @field_validator("url")
    @classmethod
    def _one(cls, url: Secret | None) -> Secret | None:
        return url if url is None else _shaped(url)

    @field_validator("urls")
    @classmethod
    def _several(cls, urls: list[Secret]) -> list[Secret]:
        return [_shaped(url) for url in urls]

    @model_validator(mode="after")
    def _some(self) -> AppriseParameters:
        if not self.all:
            raise ValueError("`url` or `urls` is missing")
        return self

    @property
    def all(self) -> Sequence[Secret]:
        """Every URL."""
        return [*([self.url] if self.url is not None else []), *self.urls]


def _shaped(url: Secret) -> Secret:
    """The URL, when it looks like one: whether apprise knows its service is asked when the
    channel is built, because that loads all of apprise."""
    scheme, found, rest = url.reveal().partition("://")
    if not (found and scheme.isalnum() and rest.strip()):
        raise ValueError(
            "is not a URL: see https://github.com/caronc/apprise#supported-notifications"
        )
    return url


class AppriseNotifier:
    """Sends each notice to a service that apprise knows: Slack, Discord, e-mail, Teams and more.

        channels:
          ml-team: {use: slack, url: "env:SLACK_WEBHOOK_URL"}
          oncall: {use: apprise, urls: ["env:PAGER_URL", "env:MAIL_URL"]}

    URLs are apprise's (https://github.com/caronc/apprise#supported-notifications): `slack://…`,
    `mailto://…`, `tgram://…`; the https:// address that Slack or Discord gives for an incoming
    webhook works as it is. `use: slack` (discord, email, matrix, mattermost, ntfy, teams,
    telegram) is this notifier, and insists that the URL belongs to that service. A URL is a
    credential: write it as "env:NAME".

    When one of several URLs fails, the notice is tried again on all of them: prefer one channel
    for each.
    """

    Parameters = AppriseParameters

    def __init__(self, parameters: AppriseParameters, /) -> None:
        """Raises PermanentError (which does not show the URL) when apprise cannot use a URL."""
        self._timeout = parameters.timeout
        self._secrets = tuple(parameters.all)
        _keep_quiet()
        asset = apprise.AppriseAsset(
            app_id="Proctor",
            app_desc="Proctor",
            app_url="",
            image_url_mask="",
            image_url_logo="",
            async_mode=False,
            storage_mode=apprise.PersistentStoreMode.MEMORY,
        )
        self._services: list[apprise.NotifyBase] = []
        for place, url in enumerate(self._secrets, start=1):
            service = apprise.Apprise.instantiate(url.reveal(), asset=asset)
            which = f"URL {place} of {len(self._secrets)}"
            if service is None:
                raise PermanentError(f"{which} is not one that apprise can use; check its form")
            if parameters.service and parameters.service not in _schemes(service):
                raise PermanentError(
                    f"{which} belongs to {service.service_name}, not to {parameters.service}"
                )
            self._services.append(service)

    def send(self, notice: Notice) -> None:
        """Send it to each URL. Raises TransientError when any did not take it."""
        failed = []
        for service in self._services:
            try:
                within(self._timeout, lambda s=service: self._send(s, notice))  # type: ignore[misc]
            except TransientError as e:
                failed.append(f"{service.service_name}: {e}")
        if failed:
            raise TransientError("; ".join(failed))

    def _send(self, service: apprise.NotifyBase, notice: Notice) -> None:
        text = _text(notice)
        with _EAR.listening() as said:
            try:
                taken = service.notify(
                    body=text or notice.title,  # apprise refuses to send no text
                    title=notice.title if text else "",
                    notify_type=_TYPES[notice.severity],
                    body_format=apprise.NotifyFormat.TEXT,
                )
            except Exception as e:  # apprise's plugins raise what their libraries raise
                raise self._failure([f"{type(e).__name__}: {e}"]) from None
        if not taken:
            raise self._failure(said)

    def _failure(self, said: Sequence[str]) -> TransientError:
        reason = redact(" ".join(" ".join(said).split())[:300], self._secrets)
        return TransientError(f"not sent: {reason or 'no reason given'}")


def _text(notice: Notice) -> str:
    facts = "\n".join(f"{label}: {text}" for label, text in notice.facts)
    return "\n\n".join(part for part in (notice.text, facts, notice.link) if part)


def _schemes(service: apprise.NotifyBase) -> set[str]:
    found: set[str] = set()
    for names in (service.protocol, service.secure_protocol):
        found |= {names} if isinstance(names, str) else set(names or ())
    return found


class _Ear(logging.Filter):
    """Takes what apprise says: warnings go to whoever listens in the same thread (the only place
    where apprise tells reasons), and nothing goes on to our log, because URLs are in it."""

    def __init__(self) -> None:
        super().__init__()
        self._here = threading.local()

    def filter(self, record: logging.LogRecord) -> bool:
        said: list[str] | None = getattr(self._here, "said", None)
        if said is not None and record.levelno >= logging.WARNING:
            said.append(record.getMessage())
        return False

    @contextmanager
    def listening(self) -> Iterator[list[str]]:
        """The warnings of this thread, as they come."""
        said: list[str] = []
        self._here.said = said
        try:
            yield said
        finally:
            self._here.said = None


_EAR: Final = _Ear()


def _keep_quiet() -> None:
    """Keep apprise, and the HTTP library below it, from writing URLs (credentials) to our log."""
    logging.getLogger("apprise").addFilter(_EAR)  # adding it again changes nothing
    # urllib3 logs the path of every request at DEBUG.
    logging.getLogger("urllib3").setLevel(logging.INFO)
