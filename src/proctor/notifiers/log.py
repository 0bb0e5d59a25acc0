"""Notices in the log: the default channel."""

from __future__ import annotations

import logging
from typing import Final

from pydantic import BaseModel, ConfigDict

from proctor.core.harmless import harmless
from proctor.core.notice import Notice, Severity
from proctor.core.secret import redact

_LEVELS: Final = {
    Severity.INFO: logging.INFO,
    Severity.SUCCESS: logging.INFO,
    Severity.WARNING: logging.WARNING,
    Severity.FAILURE: logging.ERROR,
}


class LogParameters(BaseModel):
    """The log takes no parameters."""

    model_config = ConfigDict(extra="forbid")


class LogNotifier:
    """Writes each notice to the log `proctor.notices` as one line, with its text below.

    A channel `log` of this kind is always there; nothing has to be configured. The level follows
    the notice: info, warning or error. Parameters: none.

        channels: {audit: {use: log}}
    """

    Parameters = LogParameters

    def __init__(self, parameters: LogParameters, /) -> None:
        self._log = logging.getLogger("proctor.notices")

    def send(self, notice: Notice) -> None:
        """Log it; never fails."""
        facts = " ".join(f"{label.replace(' ', '_')}={text}" for label, text in notice.facts)
        line = f"{notice.title} [{notice.kind}] {facts}"
        parts = (" ".join(line.split()), *notice.text.splitlines(), *notice.link.splitlines())
        text = harmless(redact("\n  ".join(parts)))
        self._log.log(_LEVELS[notice.severity], "%s", text, extra={"key": notice.key})
