"""The Prometheus endpoint of a consumer: the latest totals, exposed when they are asked for."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from loadgen import metrics
from loadgen.consume.totals import Totals
from loadgen.metrics_endpoint import family, histogram, own_version


@dataclass(slots=True, eq=False)  # the registry wants to hash it
class ConsumeCollector:
    """Exposes the latest totals.

    Attributes:
        topic, group: what is consumed, and as whom.
        totals, elapsed_s: the latest that the consumer handed over.
    """

    topic: str
    group: str
    totals: Totals = field(default_factory=Totals)
    elapsed_s: float = 0.0

    def watch(self, totals: Totals, elapsed_s: float) -> None:
        """Take the latest totals."""
        self.totals, self.elapsed_s = totals, elapsed_s

    def collect(self) -> Iterator[Any]:
        """Metric families, as prometheus_client asks for them."""
        totals = self.totals
        yield family(metrics.CONSUMER_INFO, {(own_version(), self.topic, self.group): 1})
        yield family(metrics.CONSUMER_LAG, {(str(number),): lag for number, lag in totals.lags.items()})
        yield family(metrics.UNSTORED, {(str(number),): count for number, count in totals.unstored.items()})
        yield histogram(metrics.PUBLISH, {(): totals.publish_s})
        for metric, value in (
            (metrics.CONSUMED, totals.n_read),
            (metrics.PUBLISHED_EVENTS, totals.n_events),
            (metrics.PUBLISHED_FILES, totals.n_files),
            (metrics.PUBLISHED_BYTES, totals.n_bytes),
            (metrics.DEAD_LETTERS, totals.n_dead),
            (metrics.REBALANCES, totals.n_rebalances),
            (metrics.STORE_RETRIES, totals.n_retries),
            (metrics.LAST_EVENT, totals.latest_ms / 1000 if totals.latest_ms >= 0 else math.nan),
            (metrics.CONSUMER_ELAPSED, self.elapsed_s),
        ):
            yield family(metric, {(): value})
