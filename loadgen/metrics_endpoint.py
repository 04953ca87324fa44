"""Metrics on an HTTP port, in Prometheus's format: what the endpoints of all commands share.

In: a collector, which makes metric families of its latest figures when they are asked for. Out: a server in a thread,
which adds what the operating system knows of this process. No event costs a metric operation.
"""

import socket
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from socketserver import ThreadingMixIn
from threading import BoundedSemaphore, Thread, Timer
from typing import Any, Protocol
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import numpy as np
from prometheus_client import CollectorRegistry, ProcessCollector, make_wsgi_app
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from loadgen.config.names import url
from loadgen.histogram import Histogram, bucket_edges_s
from loadgen.hosts import hosts_for, without_port
from loadgen.metrics import BUCKETS_S, Metric

MOST_CONNECTIONS = 64
"""At once. A scrape takes a few milliseconds."""
REQUEST_S = 10.0
"""A connection that has not asked and been answered by then is cut."""
SERVER = ("Server", "loadgen")
DOCKERS_HOST = "host.docker.internal"
"""What containers of Docker Desktop call this machine, whose loopback they reach."""
_FAMILIES = {"counter": CounterMetricFamily, "gauge": GaugeMetricFamily, "histogram": HistogramMetricFamily}
_EDGES_S = bucket_edges_s()


class MetricCollector(Protocol):
    """Has figures to expose."""

    def collect(self) -> Iterable[Any]:
        """Metric families, as prometheus_client asks for them."""


def family(metric: Metric, values: Mapping[tuple[str, ...], float]) -> Any:
    """A counter's or gauge's family: label values → value; no sample where there is none."""
    made = _FAMILIES[metric.kind](metric.name, metric.help, labels=metric.labels)
    for labels, value in values.items():
        made.add_metric(labels, value)
    return made


def histogram(metric: Metric, values: Mapping[tuple[str, ...], Histogram]) -> Any:
    """A histogram's family: label values → histogram."""
    made = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
    for labels, counted in values.items():
        made.add_metric(labels, buckets=_cumulative(counted), sum_value=counted.sum_s)
    return made


def _cumulative(counted: Histogram) -> list[tuple[str, float]]:
    """Counts up to each exposed edge."""
    below = np.concatenate([[0], np.cumsum(counted.counts)])
    upto = np.searchsorted(_EDGES_S, BUCKETS_S, side="right")
    pairs = [(str(edge), float(below[row])) for edge, row in zip(BUCKETS_S, upto, strict=True)]
    return [*pairs, ("+Inf", float(below[-1]))]


class _Server(ThreadingMixIn, WSGIServer):
    """A thread for each of a bounded number of connections; an error in one affects no other."""

    daemon_threads = True

    def __init__(self, host: str, port: int) -> None:
        self.address_family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        self._free = BoundedSemaphore(MOST_CONNECTIONS)
        super().__init__((host, port), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Close a connection that is one too many at once."""
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer one connection."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print nothing: any client could fill the log with errors."""


class _Handler(WSGIRequestHandler):
    """One request, whose headers must be there in time."""

    def handle(self) -> None:
        """Read the request and answer it."""
        deadline = Timer(REQUEST_S, self._cut)
        deadline.daemon = True
        deadline.start()
        try:
            super().handle()
        finally:
            deadline.cancel()

    def _cut(self) -> None:
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, format: str, *words: Any) -> None:
        """Log nothing."""


def _guarded(app: Callable[..., Any], hosts: tuple[str, ...] | None) -> Callable[..., Any]:
    """Answers only requests that mean this server, and names no versions."""

    def answer(environment: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        if hosts is not None and without_port(environment.get("HTTP_HOST", "")) not in hosts:
            start_response("421 Misdirected Request", [("Content-Type", "text/plain"), SERVER])
            return [b"these metrics are for this machine only; --metrics-host opens them to others\n"]

        def start_without_version(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            return start_response(status, [*headers, SERVER], *more)

        return app(environment, start_without_version)

    return answer


def serve(collector: MetricCollector, host: str, port: int) -> WSGIServer:
    """Start the endpoint in a thread of its own.

    Args:
        host, port: where to listen; port 0 is any free one. On loopback, only requests to it are answered.

    Returns:
        The server: it knows its port, and can be shut down.

    Raises:
        OSError: the port is taken.
    """
    registry = CollectorRegistry()
    registry.register(collector)
    ProcessCollector(registry=registry)
    server, hosts = _Server(host, port), hosts_for(host)
    server.set_app(_guarded(make_wsgi_app(registry), None if hosts is None else (*hosts, DOCKERS_HOST)))
    Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    return server


def expose(collector: MetricCollector, host: str, port: int, note: Callable[[str], None]) -> bool:
    """Start the endpoint and say where it is, or why there is none: no reason not to work. Returns whether it runs."""
    try:
        serve(collector, host, port)
    except OSError as error:
        note(
            f"no metrics: port {port} of {host} cannot be used ({error.strerror}); "
            "choose another with --metrics-port P, 0 is off"
        )
        return False
    note(f"metrics on {url(host, port)}/metrics")
    return True
