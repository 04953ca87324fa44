"""Metrics on an HTTP port, in Prometheus's format: what the endpoints of all verbs share.

In: a collector, which makes metric families of its latest figures when they are asked for. Out: a server in a thread,
which adds what the operating system knows of this process. No event costs a metric operation.
"""

from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Protocol
from wsgiref.simple_server import WSGIServer

import numpy as np
from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from loadgen.config.names import url
from loadgen.histogram import Histogram, bucket_edges_s
from loadgen.metrics import BUCKETS_S, Metric

_FAMILIES = {"counter": CounterMetricFamily, "gauge": GaugeMetricFamily, "histogram": HistogramMetricFamily}
_EDGES_S = bucket_edges_s()


class MetricCollector(Protocol):
    """Has figures to expose."""

    def collect(self) -> Iterable[Any]:
        """Metric families, as prometheus_client asks for them."""


def own_version() -> str:
    """The version of this program."""
    try:
        return version("loadgen")
    except PackageNotFoundError:  # run from a folder that was never installed
        return "unknown"


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


def serve(collector: MetricCollector, host: str, port: int) -> WSGIServer:
    """Start the endpoint in a thread of its own.

    Args:
        collector: what to expose.
        host, port: where to listen; port 0 is any free one.

    Returns:
        The server: it knows its port, and can be shut down.

    Raises:
        OSError: the port is taken.
    """
    registry = CollectorRegistry()
    registry.register(collector)
    ProcessCollector(registry=registry)
    return start_http_server(port, addr=host, registry=registry)[0]


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
