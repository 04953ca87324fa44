"""Latency is that of the last minute's events, and is told only where their times are those of the wall clock."""

import numpy as np
import pytest

from loadgen.dashboard.aggregates import AHEAD_S, BEHIND_S, WINDOW_S, Latency, LatencyPercentiles

NOW_S = 1_767_571_200.25


def times_ms(*ages_s: float, now_s: float = NOW_S) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    """The times of events of these ages."""
    return np.array([round((now_s - age_s) * 1000) for age_s in ages_s], np.int64)


def found_of(latency: Latency, now_s: float = NOW_S) -> LatencyPercentiles:
    """What it says, which must be something."""
    found = latency.percentiles(now_s)
    assert found is not None
    return found


def test_percentiles_are_those_of_all_pieces_that_were_read() -> None:
    latency, ages_s = Latency(), np.random.default_rng(1).exponential(2.0, 3000)
    for place, piece in enumerate(np.array_split(ages_s, 30)):
        now_s = NOW_S + place / 3  # several within a second
        latency.add(times_ms(*piece, now_s=now_s), now_s)
    found = found_of(latency, NOW_S + 10)
    assert found.n_events == 3000
    assert found.p50_ms == pytest.approx(np.quantile(ages_s, 0.5) * 1000, rel=0.02)
    assert found.p99_ms == pytest.approx(np.quantile(ages_s, 0.99) * 1000, rel=0.02)
    assert found.is_plausible


def test_what_was_read_more_than_a_minute_ago_is_forgotten() -> None:
    latency = Latency()
    latency.add(times_ms(50.0), NOW_S)
    latency.add(times_ms(1.0, now_s=NOW_S + 30), NOW_S + 30)
    assert found_of(latency, NOW_S + WINDOW_S - 1).n_events == 2
    assert found_of(latency, NOW_S + WINDOW_S + 1).p99_ms == pytest.approx(1000, rel=0.01)
    assert latency.percentiles(NOW_S + 30 + WINDOW_S) is None


def test_nothing_that_was_read_has_no_latency() -> None:
    latency = Latency()
    latency.add(times_ms(), NOW_S)
    assert latency.percentiles(NOW_S) is None


@pytest.mark.parametrize(
    ("ages_s", "is_plausible"),
    [
        ((0.5, 0.7), True),
        ((-AHEAD_S / 2, 0.5), True),
        ((-AHEAD_S * 2, 0.5, 0.5), False),
        ((0.5, 0.5, 10_000.0), True),
        ((BEHIND_S * 2, BEHIND_S * 2), False),
    ],
)
def test_times_of_another_clock_are_told_from_those_of_the_wall(ages_s: tuple[float, ...], is_plausible: bool) -> None:
    latency = Latency()
    latency.add(times_ms(*ages_s), NOW_S)
    assert found_of(latency).is_plausible is is_plausible
