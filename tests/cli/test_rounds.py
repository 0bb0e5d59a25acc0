"""The sweep's rounds go on, whatever happens in one of them."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

import pytest

from proctor.cli import rounds


@dataclass
class Shelf:
    """One that fails as nobody foresaw, once."""

    stop: threading.Event
    asked: int = field(default=0)

    def tidy(self) -> int:
        """Fail first; then end the round."""
        self.asked += 1
        if self.asked == 1:
            raise RuntimeError("dictionary changed size during iteration")
        self.stop.set()
        return 0


@dataclass
class Parts:
    """What this round asks of the wiring."""

    shelf: Shelf
    retention: None = None


def test_what_nobody_foresaw_does_not_end_the_removal_of_what_is_old(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(rounds, "FORGET_EVERY", 0.01)
    stop = threading.Event()
    parts: Any = Parts(Shelf(stop))
    rounds._forget(parts, stop)
    assert parts.shelf.asked == 2
    assert "removing what is old failed: RuntimeError: dictionary changed" in caplog.text
