"""Histograms of durations merge, and their percentiles are within 1 %."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.histogram import PERCENTILES, Histogram, bucket_edges_s, merged

durations = st.lists(st.floats(1e-6, 3600.0), max_size=200)


def of(values: list[float]) -> Histogram:
    histogram = Histogram()
    histogram.record(np.array(values, np.float64))
    return histogram


@pytest.mark.parametrize("quantile", PERCENTILES.values())
def test_percentiles_are_within_one_percent_of_the_full_sample(quantile: float) -> None:
    values = np.random.default_rng(5).lognormal(-5.0, 1.5, 100_000)
    exact = np.sort(values)[int(np.ceil(quantile * len(values))) - 1]
    assert of(values.tolist()).quantile_s(quantile) == pytest.approx(exact, rel=0.01)


@given(durations, durations, durations)
def test_merging_is_associative_and_equals_recording_together(a: list[float], b: list[float], c: list[float]) -> None:
    left = merged([merged([of(a), of(b)]), of(c)])
    right = merged([of(a), merged([of(b), of(c)])])
    together = of([*a, *b, *c])
    assert (left.counts == right.counts).all()
    assert (left.counts == together.counts).all()
    assert left.max_s == right.max_s == together.max_s
    assert left.sum_s == pytest.approx(together.sum_s)


@given(st.floats(1e-6, 60_000.0))
def test_a_value_lies_below_the_upper_edge_of_its_bucket_and_above_the_one_before(value_s: float) -> None:
    (bucket,) = np.flatnonzero(of([value_s]).counts)
    edges = bucket_edges_s()
    assert value_s < edges[bucket] * (1 + 1e-12)
    assert bucket == 0 or value_s >= edges[bucket - 1] * (1 - 1e-12)


def test_an_empty_histogram_says_so() -> None:
    assert np.isnan(Histogram().quantile_s(0.5))
    assert Histogram().summary_ms() == {"p50": None, "p90": None, "p99": None, "p999": None, "max": None}


def test_a_negative_duration_counts_as_zero() -> None:
    histogram = of([-1.0])
    assert len(histogram) == 1
    assert histogram.max_s == 0.0
