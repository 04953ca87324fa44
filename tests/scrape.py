"""Metrics as Prometheus gets them."""

import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client.metrics_core import Metric as Family
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from loadgen.metrics_endpoint import serve


@contextmanager
def served(collector: Collector) -> Iterator[str]:
    """The address of the metrics of this collector, while it lasts."""
    server = serve(collector, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.server_port}/metrics"
    finally:
        server.shutdown()
        server.server_close()


def scrape(url: str) -> dict[str, Family]:
    """Every metric there, by its name."""
    with urllib.request.urlopen(url, timeout=10) as answer:
        return {family.name: family for family in text_string_to_metric_families(answer.read().decode())}
