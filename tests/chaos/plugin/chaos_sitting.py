"""The eval process of the storms. Notes in the journal when it is there; runs without site.

Nothing here makes it die with its supervisor: that is what is to be seen.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path


def main() -> None:
    """Read the request from stdin, take its time, write the score."""
    wish = json.load(sys.stdin)
    journal = os.open(wish["journal"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def note(what: str) -> None:
        told = {"at": time.time(), "what": what, "exam": wish["exam"], "pid": os.getpid()}
        told["worker"] = wish["worker"]
        os.write(journal, json.dumps(told).encode() + b"\n")  # one write: lines never mix

    note("begin")
    until = time.monotonic() + wish["seconds"]
    while time.monotonic() < until:
        time.sleep(0.05)
        note("beat")
    Path("result.txt").write_text(Path(wish["score"]).read_text())
    note("end")


main()
