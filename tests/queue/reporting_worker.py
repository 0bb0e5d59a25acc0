"""A real worker for the tests: reports each step that it performs to a file.

    python reporting_worker.py BROKER_URL QUEUES FOLDER NAME CONCURRENCY GRACE [IMPATIENT]

Writes a JSON line to FOLDER/NAME.jsonl at each start and end of a step. A step whose id starts
with "slow" goes on until the worker is stopped, "deaf" until it is killed; "sad" raises.
IMPATIENT replaces the seconds after which a second SIGINT counts.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import time
import warnings
from pathlib import Path

from proctor.queue import worker
from proctor.queue.app import make_app
from proctor.queue.worker import run_worker

warnings.filterwarnings("ignore", message="(?s).*superuser privileges.*")  # tests may run as root
logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")

broker_url, queues, folder, name, concurrency, grace, *impatient = sys.argv[1:]
for seconds in impatient:
    worker._IMPATIENT = float(seconds)
stop = threading.Event()
report = os.open(Path(folder) / f"{name}.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def tell(what: str, step_id: str) -> None:
    """One line, written at once."""
    line = json.dumps({"what": what, "step": step_id, "at": time.time()})
    os.write(report, line.encode() + b"\n")


def perform(step_id: str) -> None:
    """What a step of this id is made to do."""
    tell("began", step_id)
    if step_id.startswith("sad"):
        raise RuntimeError("made to fail")
    if step_id.startswith("slow"):
        stop.wait()
    if step_id.startswith("deaf"):
        time.sleep(600)
    tell("ended", step_id)


def abandon() -> None:
    """Told as well; a worker called "mute" never comes to an end of it."""
    tell("abandoned", "")
    if name == "mute":
        time.sleep(600)


sys.exit(
    run_worker(
        make_app(broker_url),
        perform,
        queues=queues.split(","),
        concurrency=int(concurrency),
        name=f"{name}@test",
        on_stop=stop.set,
        on_abandon=abandon,
        grace=float(grace),
        alive=Path(folder) / f"{name}.alive",
    )
)
