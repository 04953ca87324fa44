"""Locust's table says of many events at once what it would say of each."""

import numpy as np
import pytest
from locust.stats import RequestStats, StatsEntry

from loadgen.ledger import Outcome, Tally
from loadgen.scenarios.table import METHOD, add_to, between

NAME = "music-streaming-events"
QUANTILES = (0.5, 0.66, 0.9, 0.99, 0.999, 1.0)


def _tally(acks_s: np.ndarray, n_dropped: int = 0, n_failed: int = 0) -> Tally:
    tally = Tally()
    tally.complete(Outcome.DELIVERED, np.zeros(len(acks_s), np.uint8))
    tally.complete(Outcome.DROPPED, np.zeros(n_dropped, np.uint8))
    tally.complete(Outcome.FAILED, np.zeros(n_failed, np.uint8))
    tally.ack_s.record(acks_s)
    tally.bytes_delivered = 250 * len(acks_s)
    return tally


@pytest.fixture
def acks_s() -> np.ndarray:
    return np.random.default_rng(1).lognormal(-3.0, 1.2, 20_000)


def test_percentiles_are_those_that_locust_finds_event_by_event(acks_s: np.ndarray) -> None:
    ours, theirs = RequestStats(), RequestStats()
    add_to(ours, NAME, between(_tally(acks_s), Tally(), ""))
    for ack_s in acks_s.tolist():
        theirs.log_request(METHOD, NAME, ack_s * 1e3, 250)
    for mine, its in ((ours.total, theirs.total), (ours.get(NAME, METHOD), theirs.get(NAME, METHOD))):
        for quantile in QUANTILES:
            assert mine.get_response_time_percentile(quantile) == pytest.approx(
                its.get_response_time_percentile(quantile), rel=0.06, abs=1.0
            )
        assert (mine.num_requests, mine.total_content_length) == (its.num_requests, its.total_content_length)
        assert mine.avg_response_time == pytest.approx(its.avg_response_time, rel=1e-4)
        assert mine.max_response_time == pytest.approx(its.max_response_time)
        assert mine.min_response_time == pytest.approx(its.min_response_time, rel=0.01)
        assert sum(mine.num_reqs_per_sec.values()) == 20_000


def test_times_are_in_locusts_own_buckets_also_where_these_are_replaced(
    acks_s: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("locust.stats.bucket_response_time", lambda time_ms: 5 * round(time_ms / 5))
    stats = RequestStats()
    add_to(stats, NAME, between(_tally(acks_s), Tally(), ""))
    assert {time_ms % 5 for time_ms in stats.total.response_times} == {0}


def test_only_what_is_new_is_added(acks_s: np.ndarray) -> None:
    stats, half, whole = RequestStats(), _tally(acks_s[:10_000]), _tally(acks_s)
    add_to(stats, NAME, between(half, Tally(), ""))
    add_to(stats, NAME, between(whole, half, ""))
    add_to(stats, NAME, between(whole, whole, ""))
    assert stats.total.num_requests == 20_000
    assert sum(stats.total.response_times.values()) == 20_000


def test_what_was_not_delivered_is_a_failure_with_its_reason_and_has_no_time(acks_s: np.ndarray) -> None:
    stats = RequestStats()
    add_to(stats, NAME, between(_tally(acks_s, n_dropped=30, n_failed=2), Tally(), "topic is gone"))
    assert (stats.total.num_requests, stats.total.num_failures, stats.total.num_none_requests) == (20_032, 32, 32)
    occurrences = {str(error.error): error.occurrences for error in stats.errors.values()}
    assert occurrences["failed: topic is gone"] == 2
    assert {number for reason, number in occurrences.items() if reason.startswith("dropped:")} == {30}


def test_the_master_adds_what_workers_send(acks_s: np.ndarray) -> None:
    worker, master = RequestStats(use_response_times_cache=False), RequestStats()
    add_to(worker, NAME, between(_tally(acks_s, n_dropped=5), Tally(), ""))
    expected = worker.total.get_response_time_percentile(0.99)
    for report in worker.serialize_stats():
        master.get(NAME, METHOD).extend(StatsEntry.unserialize(report, master))
    master.total.extend(StatsEntry.unserialize(worker.total.get_stripped_report(), master))
    assert (master.total.num_requests, master.get(NAME, METHOD).num_failures) == (20_005, 5)
    assert master.total.get_response_time_percentile(0.99) == expected
