"""Histograms of durations merge, and their percentiles are within 1 %."""

import pickle
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.histogram import PERCENTILES, Histogram, Sparse, bucket_edges_s, merged

durations = st.lists(st.floats(1e-6, 3600.0), max_size=200)
N_VALUES = 100_000
SHAPES = {
    "lognormal": lambda rng: rng.lognormal(-5.0, 1.5, N_VALUES),
    "exponential": lambda rng: rng.exponential(0.004, N_VALUES) + 1e-6,
    "uniform": lambda rng: rng.uniform(0.001, 0.5, N_VALUES),
    "constant": lambda rng: np.full(N_VALUES, 0.0123),
    "two humps": lambda rng: np.where(rng.random(N_VALUES) < 0.95, rng.normal(0.02, 0.002, N_VALUES), 5.0),
    "heavy tail": lambda rng: 1e-4 * (1 + rng.pareto(1.1, N_VALUES)),
}
Rng = np.random.Generator
Draw = Callable[[Rng], npt.NDArray[np.float64]]


def of(values: npt.ArrayLike) -> Histogram:
    histogram = Histogram()
    histogram.record(np.array(values, np.float64))
    return histogram


@pytest.mark.parametrize("draw", SHAPES.values(), ids=SHAPES)
def test_percentiles_are_within_one_percent_of_the_full_sample(draw: Draw) -> None:
    values = draw(np.random.default_rng(5))
    assert_percentiles_of(values, of(values))


@pytest.mark.parametrize("draw", SHAPES.values(), ids=SHAPES)
def test_so_they_are_after_merging_workers_and_taking_off_what_was_before(draw: Draw) -> None:
    values, before = draw(np.random.default_rng(6)), draw(np.random.default_rng(7))[:50_000]
    earlier, later = Histogram(), Histogram()
    for worker in range(3):
        workers_own = of(before[worker::3])
        earlier.merge(workers_own)
        for part in np.array_split(values[worker::3], 40):  # as a worker records them
            workers_own.record(part)
        later.merge(workers_own)
    assert_percentiles_of(values, later.since(earlier))


def assert_percentiles_of(values: npt.NDArray[np.float64], histogram: Histogram) -> None:
    """Every percentile that is shown is within 1 % of the sample's, the maximum within a bucket."""
    ordered = np.sort(values)
    for quantile in (*PERCENTILES.values(), 0.01, 0.25, 0.95, 0.9999):
        exact = ordered[int(np.ceil(quantile * len(values))) - 1]
        assert histogram.quantile_s(quantile) == pytest.approx(exact, rel=0.01), quantile
        assert Sparse.of(histogram).quantile_s(quantile) == histogram.quantile_s(quantile)
    assert histogram.max_s == pytest.approx(ordered[-1], rel=1 / 64)
    assert histogram.sum_s == pytest.approx(values.sum(), rel=1e-9)


@given(durations, durations, durations)
def test_merging_is_associative_and_commutative_and_equals_recording_together(
    a: list[float], b: list[float], c: list[float]
) -> None:
    left = merged([merged([of(a), of(b)]), of(c)])
    right = merged([of(a), merged([of(b), of(c)])])
    turned = merged([of(c), of(b), of(a)])
    together = of([*a, *b, *c])
    assert (left.counts == turned.counts).all()
    assert left.max_s == turned.max_s
    assert (left.counts == right.counts).all()
    assert (left.counts == together.counts).all()
    assert left.max_s == right.max_s == together.max_s
    assert left.sum_s == pytest.approx(together.sum_s)


@given(durations, durations)
def test_what_was_added_since_is_what_was_merged(a: list[float], b: list[float]) -> None:
    earlier, added = of(a), of(b)
    later = merged([earlier, added])
    found = later.since(earlier)
    assert (found.counts == added.counts).all()
    assert found.sum_s == pytest.approx(added.sum_s, abs=1e-9 * (1 + later.sum_s))
    assert added.max_s <= found.max_s <= max(added.max_s * (1 + 1 / 64), 2e-6)
    assert (earlier.counts == of(a).counts).all()


@given(durations, durations)
def test_the_two_percentiles_of_parts_hold_those_of_the_whole_between_them(a: list[float], b: list[float]) -> None:
    if not a or not b:
        return
    low, high = sorted(of(part).quantile_s(0.9) for part in (a, b))
    assert low <= merged([of(a), of(b)]).quantile_s(0.9) <= high * (1 + 1 / 64)  # a maximum cuts a bucket


def test_what_is_held_until_there_is_more_is_seen_by_whoever_looks() -> None:
    def held() -> Histogram:
        histogram = Histogram()
        for value_s in (0.1, 0.4, 0.2):
            histogram.record(np.array([value_s]))
        return histogram

    assert len(held()) == held().counts.sum() == 3
    assert (held().sum_s, held().max_s) == pytest.approx((0.7, 0.4))
    assert held().quantile_s(0.5) == pytest.approx(0.2, rel=0.01)
    twice = merged([held(), held()])
    assert (len(twice), twice.max_s) == (6, 0.4)
    for copy in (
        held().copy(),
        pickle.loads(pickle.dumps(held())),
        Sparse.of(held()).full(),
        held().since(Histogram()),
    ):
        assert (copy.counts == held().counts).all()
        assert (copy.sum_s, copy.max_s) == (pytest.approx(0.7), 0.4)
    changed = held()
    changed.sum_s, changed.max_s, changed.counts = 1.0, 2.0, 2 * held().counts
    assert (len(changed), changed.sum_s, changed.max_s) == (6, 1.0, 2.0)


@given(st.lists(st.tuples(st.floats(-1.0, 100.0), st.integers(1, 9)), min_size=1, max_size=30), st.integers(1, 400))
def test_values_that_repeat_count_as_often_as_they_come(runs: list[tuple[float, int]], times: int) -> None:
    values = [value_s for value_s, n in runs for _ in range(n)] * times
    found, one_by_one = of(values), Histogram()
    for value_s, n in runs:
        single = of([value_s])
        one_by_one.counts += single.counts * n * times
        one_by_one.max_s = max(one_by_one.max_s, single.max_s)
    assert (found.counts == one_by_one.counts).all()
    assert len(found) == len(values)
    assert found.max_s == one_by_one.max_s
    assert found.sum_s == pytest.approx(sum(max(0.0, value_s) for value_s in values), rel=1e-9, abs=1e-12)


@given(durations)
def test_a_sparse_histogram_is_the_same_small_and_in_json(values: list[float]) -> None:
    full = of(values)
    sparse = Sparse.from_json(Sparse.of(full).as_json())
    assert len(sparse) == len(full) == len(values)
    again = sparse.full()
    assert (again.counts == full.counts).all()
    assert (again.sum_s, again.max_s) == (full.sum_s, full.max_s)
    assert sparse.summary_ms() == full.summary_ms()


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
