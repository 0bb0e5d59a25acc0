"""The web application, built from what it is given: no settings, no globals."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Route

from proctor.core.secret import Secret
from proctor.ports.clock import Clock
from proctor.ports.ledger import Ledger
from proctor.ports.queue import Queue
from proctor.web.access import HUB_PATH, Access
from proctor.web.answers import http_error
from proctor.web.authentic import Gate
from proctor.web.health import Probe, Readiness, alive
from proctor.web.metrics import Metrics
from proctor.web.receiver import Limits, Receiver
from proctor.web.scribe import Scribe
from proctor.web.wake import Waker


def create_app(
    *,
    ledger: Ledger,
    queue: Queue,
    clock: Clock,
    secrets: Sequence[Secret],
    limits: Limits | None = None,
    probes: Mapping[str, Probe] | None = None,
    registry: CollectorRegistry | None = None,
    routes: Sequence[BaseRoute] = (),
) -> Starlette:
    """The receiver with its health and metrics, and the `routes` of whoever adds more.

    Any of `secrets` opens the receiver; none at all leaves it open (`serve` refuses that beyond
    this machine). /readyz asks `probes` and the ledger ("database"). Raises Refused for a secret
    that the Hub could not send.
    """
    gate = Gate(secrets)
    metrics = Metrics(registry if registry is not None else CollectorRegistry())
    scribe = Scribe(ledger, clock, metrics, gate.scrub)
    waker = Waker(queue, metrics)
    receiver = Receiver(gate, limits or Limits(), clock, scribe, waker, metrics)
    readiness = Readiness({"database": ledger.ping, **(probes or {})}, gate.scrub)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        scribe.start()
        waker.start()
        try:
            yield
        finally:
            await run_in_threadpool(scribe.stop)
            await run_in_threadpool(waker.stop)

    app = Starlette(
        routes=[
            Route(HUB_PATH, receiver.answer, methods=["POST"]),
            Route("/healthz", alive),
            Route("/readyz", readiness.answer),
            Route("/metrics", metrics.answer),
            *routes,
        ],
        middleware=[Middleware(Access, metrics=metrics, scrub=gate.scrub)],
        exception_handlers={HTTPException: http_error},
        lifespan=lifespan,
    )
    # A redirect to the address without its slash would repeat the query, and with it the secret.
    app.router.redirect_slashes = False
    return app
