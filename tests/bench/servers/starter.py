"""A worker that tells when a step begins: `python starter.py BROKER_URL`, a line for each."""

import sys
import threading
import time
import warnings

from proctor.queue.app import make_app
from proctor.queue.worker import run_worker

warnings.filterwarnings("ignore", message="(?s).*superuser privileges.*")
stop = threading.Event()


def perform(step_id: str) -> None:
    """Say when: CLOCK_MONOTONIC is one for all processes."""
    print(time.monotonic(), flush=True)  # noqa: T201 - how the bench learns it


sys.exit(
    run_worker(
        make_app(sys.argv[1]),
        perform,
        queues=["io"],
        concurrency=1,
        name="starter@bench",
        on_stop=stop.set,
    )
)
