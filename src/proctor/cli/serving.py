"""up, web, worker, sweep: the parts that run. `up` runs all of them; the rest run one by one."""

from __future__ import annotations

import errno
import logging
import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Annotated, Final

import typer

from proctor.checks.supervisor.kernel import hide_memory
from proctor.cli import crew, lacking, pictures, receiver, rounds
from proctor.cli.log import log_to_stderr
from proctor.cli.session import opened, show_json
from proctor.core.errors import LedgerUnavailable, Refused
from proctor.wiring import Wiring

log = logging.getLogger(__name__)

DATABASE_WITHIN: Final = 60.0
"""Seconds that a part which starts waits for a database server."""

DATABASE_AGAIN: Final = 3.0
"""Seconds between two tries."""

Config = Annotated[
    Path | None,
    typer.Option(
        "--config", "-c", metavar="FILE", help="The pipelines file; default: PROCTOR_CONFIG."
    ),
]
Host = Annotated[str, typer.Option(metavar="ADDRESS", help="Address to listen on.")]
Port = Annotated[
    int | None,
    typer.Option(
        metavar="PORT",
        min=0,
        max=65_535,
        help="Port to listen on; 0 takes a free one; default: PORT of the environment, or 8000.",
    ),
]
Leashed = Annotated[
    bool,
    typer.Option("--leashed", hidden=True, help="Stop when stdin ends (used by `proctor up`)."),
]


def up(
    host: Host = "127.0.0.1",
    port: Port = None,
    config: Config = None,
    workers: Annotated[
        int, typer.Option(metavar="N", min=1, help="Evals at a time on this machine.")
    ] = 1,
) -> None:
    """Run all of Proctor on this machine: receiver, workers and sweep.

    With nothing configured it needs no server: SQLite and a folder as the broker, below
    PROCTOR_HOME. A part that dies is started again; Ctrl-C or TERM stops all of them in order.
    """
    with opened(config) as wiring:
        log_to_stderr(wiring, "up")
        _require_secret(wiring, host)
        _begin(wiring)
        listen = _free(host, port if port is not None else wiring.settings.port)
        lacking.warn(wiring, ("io", "eval"))
        parts = {
            "web": ["web", "--host", host, "--port", str(listen)],
            "io": ["worker", "--queues", "io", "--concurrency", "4"],
            "sweep": ["sweep"],
        }
        for number in range(1, workers + 1):
            name = "eval" if workers == 1 else f"eval-{number}"
            parts[name] = ["worker", "--queues", "eval", "--concurrency", "1"]
        environ = {**os.environ, "PROCTOR_CONFIG": str(wiring.settings.config.resolve())}
        log.info("webhooks: http://%s:%d/webhooks/hub", host, listen)
    sys.exit(crew.run(parts, environ))


def web(
    host: Host = "127.0.0.1", port: Port = None, config: Config = None, leashed: Leashed = False
) -> None:
    """Receive the Hub's webhooks (POST /webhooks/hub), and answer /healthz, /readyz, /metrics."""
    with opened(config) as wiring:
        log_to_stderr(wiring, "web")
        _require_secret(wiring, host)
        _begin(wiring)
        listen = _free(host, port if port is not None else wiring.settings.port)
    receiver.become(host, listen, leashed=leashed)


def worker(
    queues: Annotated[
        str,
        typer.Option(
            metavar="NAMES", help="Which work: io (light), eval (fills a machine), or both."
        ),
    ] = "io,eval",
    concurrency: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Steps at a time; default: io 4, eval 1, both 2."),
    ] = None,
    config: Config = None,
    leashed: Leashed = False,
) -> None:
    """Do the work: plan, sync, check, judge, promote, announce.

    Run as many as you like on as many machines as you like; each step is claimed by one. TERM
    gives unfinished work back within 25 s.
    """
    from proctor.checks.supervisor.ending import childless
    from proctor.core.run import StepKind
    from proctor.queue.worker import run_worker

    names = [q.strip() for q in queues.split(",") if q.strip()]
    unknown = set(names) - {"io", "eval"}
    if unknown or not names:
        raise typer.BadParameter("queues are io and eval, comma-separated")
    with opened(config) as wiring:
        log_to_stderr(wiring, "+".join(names))
        _begin(wiring)
        if not leashed:  # `up` has told it once for all its parts
            lacking.warn(wiring, names)
        stop = threading.Event()
        threads = concurrency or (2 if len(names) > 1 else {"io": 4, "eval": 1}[names[0]])
        steps = wiring.worker(stop, threads)
        if leashed:
            receiver.stop_at_end_of_stdin()
        alive = wiring.settings.home / "alive" / f"worker-{'-'.join(names)}"

        def perform(step_id: str) -> None:
            steps.perform(step_id)

        def abandon() -> None:
            # Beside an eval that may still run, nobody else may begin one: its lease has to end.
            steps.hand_back(spare=() if childless() else (StepKind.CHECK,))

        status = run_worker(
            wiring.app,
            perform,
            queues=names,
            concurrency=threads,
            name=steps.name,
            on_stop=stop.set,
            on_abandon=abandon,
            alive=alive,
        )
    sys.exit(status)


def sweep(
    once: Annotated[bool, typer.Option("--once", help="One pass, then end.")] = False,
    config: Config = None,
    leashed: Leashed = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="With --once: print facts as JSON.")
    ] = False,
) -> None:
    """Find what was lost: steps of dead workers, hints of the broker, pushes without a webhook.

    Puts overdue work back every PROCTOR_SWEEP_INTERVAL seconds, and compares the Hub's heads with
    the ledger every PROCTOR_RECONCILE_INTERVAL seconds. With --once it exits 1 when the Hub could
    not be asked about every owner.
    """
    if as_json and not once:
        raise typer.BadParameter("--json goes with --once; the sweep that runs on tells its log")
    with opened(config) as wiring:
        log_to_stderr(wiring, "sweep")
        _begin(wiring, wait=not once)
        if once:
            facts = rounds.once(wiring)
            if as_json:
                show_json(facts)
            else:
                pictures.swept(facts)
            if facts["drift"]["trouble"]:
                raise typer.Exit(1)
            return
        stop = threading.Event()
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, lambda *_: stop.set())
        if leashed:
            receiver.stop_at_end_of_stdin()
        rounds.until(wiring, stop)


def _begin(wiring: Wiring, *, wait: bool = True) -> None:
    """Whatever is wrong shows at the start: the configuration, then the database. And nothing that
    runs here as the same user, an eval least of all, may read our secrets."""
    hide_memory()
    _ = wiring.rules
    if wait:
        _wait_for_database(wiring)
    _ = wiring.ledger


def _wait_for_database(wiring: Wiring) -> None:
    """A server that restarts is back soon. Raises LedgerUnavailable when this one is not."""
    is_server = wiring.settings.database_url.reveal().startswith("postgres")
    end = time.monotonic() + (DATABASE_WITHIN if is_server else 0.0)
    while True:
        try:
            _ = wiring.ledger
        except LedgerUnavailable as error:
            if time.monotonic() >= end:
                raise
            log.warning("%s; trying again in %g s", error, DATABASE_AGAIN)
            time.sleep(DATABASE_AGAIN)
        else:
            return


def _require_secret(wiring: Wiring, host: str) -> None:
    from proctor.web.serve import require_secret

    require_secret(host, has_secret=bool(wiring.settings.webhook_secrets))


def _free(host: str, port: int) -> int:
    """The port, or for 0 a free one. Raises Refused when it cannot be had: before anything is
    started, because a receiver that cannot listen would be started for ever."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.create_server((host, port), family=family) as probe:
            return int(probe.getsockname()[1])
    except OSError as error:
        other = "--port" if error.errno in (errno.EADDRINUSE, errno.EACCES) else "--host or --port"
        said = str(error.strerror).partition(" (while")[0]  # Python adds the address
        raise Refused(f"cannot listen on {host}:{port}: {said}; choose another {other}") from error
