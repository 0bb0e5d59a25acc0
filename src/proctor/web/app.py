"""The web application, built from what it is given: no settings, no globals."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final

from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from proctor.core.secret import Secret
from proctor.ports.clock import Clock
from proctor.ports.intake import Intake
from proctor.ports.queue import Queue
from proctor.web.access import Access
from proctor.web.answers import http_error
from proctor.web.authentic import Gate
from proctor.web.health import Probe, Readiness, alive
from proctor.web.metrics import Metrics
from proctor.web.receiver import HUB_PATH, Limits, Receiver
from proctor.web.scribe import Scribe
from proctor.web.throttle import Pacing, Throttle
from proctor.web.wake import Waker

PER_SOURCE: Final = 600
"""Deliveries a minute of one webhook subscription whose work begins at once."""

PER_ADDRESS: Final = 60
"""Requests a minute without a right secret that one address gets an answer to."""


def create_app(
    *,
    intake: Intake,
    queue: Queue,
    clock: Clock,
    secrets: Sequence[Secret],
    limits: Limits | None = None,
    probes: Mapping[str, Probe] | None = None,
    registry: CollectorRegistry | None = None,
    routes: Sequence[BaseRoute] = (),
    per_source: int = PER_SOURCE,
    per_address: int = PER_ADDRESS,
) -> Access:
    """The receiver with its health and metrics, and the `routes` of whoever adds more.

    Any of `secrets` opens the receiver; none at all leaves it open (`serve` refuses that beyond
    this machine). /readyz asks `probes` and the intake ("database"). What a webhook subscription
    sends beyond `per_source` a minute is stored, and its work put off; who tries without a right
    secret more than `per_address` times a minute is told to wait. Raises Refused for a secret that
    the Hub could not send.
    """
    limits = limits or Limits()
    gate = Gate(secrets)
    metrics = Metrics(registry if registry is not None else CollectorRegistry())
    waker = Waker(queue, metrics)
    scribe = Scribe(
        intake,
        clock,
        metrics,
        gate.scrub,
        waker.wake,
        patience=limits.store,
        waits=Pacing(per_source, clock).waits,
    )
    receiver = Receiver(gate, limits, clock, scribe, Throttle(per_address, clock))
    readiness = Readiness({"database": intake.ping, **(probes or {})}, gate.scrub)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        scribe.start()
        waker.start()
        try:
            yield
        finally:
            await scribe.stop()
            await run_in_threadpool(waker.stop)

    app = Starlette(
        routes=[
            Route(HUB_PATH, _nowhere, methods=["POST"]),  # for the 405 of other methods
            Route("/healthz", alive),
            Route("/readyz", readiness.answer),
            Route("/metrics", metrics.answer),
            *routes,
        ],
        exception_handlers={HTTPException: http_error},
        lifespan=lifespan,
    )
    # A redirect to the address without its slash would repeat the query, and with it the secret.
    app.router.redirect_slashes = False
    return Access(app, receiver, metrics, gate.scrub)


async def _nowhere(request: Request) -> Response:
    """Never called: `Access` leads deliveries past the router."""
    raise NotImplementedError(request.url.path)
