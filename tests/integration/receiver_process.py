"""A receiver as a process of its own: `python receiver_process.py DATABASE_URL SECRET`.

Prints its port. Hints go nowhere.
"""

import sys

from proctor.clock import SystemClock
from proctor.core.run import Step
from proctor.core.secret import Secret
from proctor.ledger import open_ledger
from proctor.ledger.direct import DirectIntake
from proctor.web.app import create_app
from proctor.web.receiver import Limits
from proctor.web.serve import serve


class NoQueue:
    """A broker that takes nothing."""

    def wake(self, step: Step) -> bool:
        """Lose the hint."""
        return False


def main(url: str, secret: str) -> None:
    """Serve until told to stop."""
    clock = SystemClock()
    open_ledger(url, clock).close()  # its tables
    app = create_app(
        intake=DirectIntake(url),
        queue=NoQueue(),
        clock=clock,
        secrets=[Secret(secret)],
        limits=Limits(upload=60, store=60),  # a commit may take that long on a slow disk
    )
    serve(
        app,
        "127.0.0.1",
        0,
        has_secret=True,
        ready=lambda port: print(port, flush=True),  # noqa: T201 - how the test learns it
    )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
