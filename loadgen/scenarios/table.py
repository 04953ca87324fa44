"""Locust's table of requests, filled from histograms, so that thousands of events cost as much as one.

In: two snapshots. Out: the difference in Locust's statistics: one row, named after the topic, whose response time is
that from send to ack; failed, dropped and unfinished events are failures with their reason. Locust's own way, one
request event each, takes about 20 µs per event.
"""

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from locust import stats as locust_stats
from locust.stats import RequestStats, StatsEntry, StatsError

from loadgen.histogram import Histogram, middles_s
from loadgen.ledger import Outcome, Tally

METHOD = "KAFKA"
REASONS = {
    Outcome.FAILED: "failed: {why}",
    Outcome.DROPPED: "dropped: no room in the producer's queue, or later than --max-lag",
    Outcome.UNFINISHED: "unfinished: no delivery report by the end of --drain-timeout",
}


@dataclass(frozen=True, slots=True)
class Requests:
    """The outcomes between two snapshots.

    Attributes:
        ack: times from send to ack of delivered events.
        n_bytes: the size of their values.
        failures: reason → number.
    """

    ack: Histogram
    n_bytes: int
    failures: dict[str, int]

    @property
    def n_failed(self) -> int:
        """Events that were not delivered."""
        return sum(self.failures.values())


def between(later: Tally, earlier: Tally, why: str) -> Requests:
    """The outcomes since the earlier tally; `why` is the known reason of failures."""
    failures = {}
    for outcome, reason in REASONS.items():
        n_events = later.count(outcome) - earlier.count(outcome)
        if n_events > 0:
            failures[reason.format(why=why or "Kafka refused them")] = n_events
    n_bytes = later.bytes_delivered - earlier.bytes_delivered
    return Requests(later.ack_s.since(earlier.ack_s), n_bytes, failures)


def add_to(stats: RequestStats, name: str, requests: Requests) -> None:
    """Add them to Locust's statistics, as requests of this name."""
    n_requests = len(requests.ack) + requests.n_failed
    if n_requests == 0:
        return
    now_s = time.time()
    for entry in (stats.total, stats.get(name, METHOD)):
        _add_to_entry(entry, requests, n_requests, now_s)
    for reason, n_events in requests.failures.items():
        _add_error(stats, name, reason, n_events, now_s)


def _add_to_entry(entry: StatsEntry, requests: Requests, n_requests: int, now_s: float) -> None:
    """Do what StatsEntry.log does for one request, for all of them."""
    second = int(now_s)
    if entry.use_response_times_cache and entry.last_request_timestamp and second > int(entry.last_request_timestamp):
        entry._cache_response_times(second - 1)
    entry.num_requests += n_requests
    entry.num_none_requests += requests.n_failed  # they have no response time
    entry.num_failures += requests.n_failed
    entry.num_reqs_per_sec[second] = entry.num_reqs_per_sec.get(second, 0) + n_requests
    if requests.n_failed:
        entry.num_fail_per_sec[second] = entry.num_fail_per_sec.get(second, 0) + requests.n_failed
    entry.last_request_timestamp = now_s
    entry.total_content_length += requests.n_bytes
    if len(requests.ack):
        _add_times(entry, requests.ack)


def _add_times(entry: Any, ack: Histogram) -> None:
    """Add response times, ms; Locust declares int, and accepts any number."""
    (filled,) = np.nonzero(ack.counts)
    times_ms = (middles_s(filled) * 1e3).tolist()
    for time_ms, n_requests in zip(times_ms, ack.counts[filled].tolist(), strict=True):
        rounded = locust_stats.bucket_response_time(min(time_ms, ack.max_s * 1e3))  # users may replace it
        entry.response_times[rounded] = entry.response_times.get(rounded, 0) + n_requests
    entry.total_response_time += round(ack.sum_s * 1e3)
    least, most = times_ms[0], ack.max_s * 1e3
    entry.min_response_time = min(least, least if entry.min_response_time is None else entry.min_response_time)
    entry.max_response_time = max(most, entry.max_response_time)


def _add_error(stats: RequestStats, name: str, reason: str, n_events: int, now_s: float) -> None:
    key = StatsError.create_key(METHOD, name, reason)
    error = stats.errors.setdefault(key, StatsError(METHOD, name, reason, first_seen=now_s))
    error.occurrences += n_events
    error.last_seen = now_s
