"""What running parts say, on stderr."""

from __future__ import annotations

import logging
import re
import sys
import time
from typing import Final

from proctor.core.harmless import harmless
from proctor.wiring import Wiring

_FURTHER: Final = re.compile(r"\n(?=\S)")


def log_to_stderr(wiring: Wiring, role: str) -> None:
    """Log lines "12:00:01 web INFO …", free of every secret that this process holds and of what
    steers a terminal. What follows in a record with several lines is indented: none of them can
    pass for a record."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Redacting(wiring, role))
    logging.basicConfig(level=wiring.settings.log_level, handlers=[handler], force=True)
    for chatty in ("httpx", "httpx2", "httpcore2", "alembic", "urllib3", "filelock", "uvicorn"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    # Celery's own lines about messages say nothing that the ledger does not say better.
    logging.getLogger("celery").setLevel(logging.WARNING)


class _Redacting(logging.Formatter):
    def __init__(self, wiring: Wiring, role: str) -> None:
        super().__init__(f"%(asctime)s {role:<6} %(levelname)-7s %(message)s", datefmt="%H:%M:%S")
        self.converter = time.localtime
        self._wiring = wiring

    def format(self, record: logging.LogRecord) -> str:
        text: str = harmless(self._wiring.redact(super().format(record)))
        return _FURTHER.sub("\n  ", text)
