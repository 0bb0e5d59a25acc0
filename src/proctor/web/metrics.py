"""What the receiver counts, for Prometheus."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import Response

_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """Counters on an explicit registry: two apps in one process do not mix."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.deliveries = Counter(
            "proctor_deliveries_total",
            "Webhook deliveries on record, by what became of them on arrival.",
            ["disposition"],
            registry=registry,
        )
        self.requests = Counter(
            "proctor_http_requests_total",
            "HTTP answers, by address and status.",
            ["path", "status"],
            registry=registry,
        )
        self.latency = Histogram(
            "proctor_http_request_duration_seconds",
            "Seconds from a request's headers to the end of its answer.",
            ["path"],
            buckets=_BUCKETS,
            registry=registry,
        )
        self.batch = Histogram(
            "proctor_delivery_batch_size",
            "Deliveries that shared one transaction.",
            buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256),
            registry=registry,
        )
        self.waiting = Gauge(
            "proctor_deliveries_waiting", "Deliveries that wait to be written.", registry=registry
        )
        self.wakes = Counter(
            "proctor_wakes_total",
            "Hints to workers: sent, failed (the broker did not take it), or dropped (too many "
            "waited). The sweep finds what no hint told.",
            ["result"],
            registry=registry,
        )

        self._answered: dict[tuple[str, int], tuple[Counter, Histogram]] = {}

    def answered(self, path: str, status: int, seconds: float) -> None:
        """Count an HTTP answer. `path` is one of few."""
        found = self._answered.get((path, status))
        if found is None:  # looking a label up costs more than counting
            found = self.requests.labels(path, str(status)), self.latency.labels(path)
            self._answered[path, status] = found
        counter, histogram = found
        counter.inc()
        histogram.observe(seconds)

    async def answer(self, request: Request) -> Response:
        """GET /metrics."""
        return Response(generate_latest(self.registry), media_type=CONTENT_TYPE_LATEST)
