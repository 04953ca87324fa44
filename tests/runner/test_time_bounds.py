"""How far ahead of the clock a run gets, told from its settings."""

import math
from typing import Any

import numpy as np
import pytest

from loadgen.config import RunSettings
from loadgen.kafka.topic_config import TimeBounds
from loadgen.runner.time_bounds import natural_per_s, time_bounds
from loadgen.simulate.catalog_file import load
from loadgen.simulate.shard import Shard
from tests.runner.plans import START_MS, plan_of

PER_S = 10.0
"""The listeners cause so many events a second: a rate of 100/s is ten times their own."""


def reach(now_ms: float = START_MS, **settings: Any) -> TimeBounds:
    """Of a run with these settings, by their keys."""
    return time_bounds(RunSettings.from_public({"start": START_MS, **settings}), [PER_S], now_ms)


def test_a_run_in_real_time_stays_with_the_clock() -> None:
    assert reach(duration=60) == reach(continuous=True) == reach(events=1000) == TimeBounds(0.0, 0.0, 0.0)


def test_the_first_event_is_as_far_ahead_as_the_start() -> None:
    assert reach(START_MS - 5000.0, duration=1) == TimeBounds(5000.0, 5000.0, 5000.0)
    assert reach(START_MS + 5000.0, duration=1) == TimeBounds(-5000.0, -5000.0, -5000.0)


def test_speed_gains_its_surplus_every_second() -> None:
    assert reach(duration=2, speed=60) == TimeBounds(0.0, 59 * 120_000.0, 59 * 120_000.0)


def test_a_slow_run_falls_behind_and_is_furthest_ahead_at_its_start() -> None:
    assert reach(duration=2, speed=0.1) == TimeBounds(0.0, 0.0, 0.0)


def test_a_rate_gains_as_much_as_it_compresses_time_give_or_take_the_days_curve() -> None:
    found = reach(duration=1, rate=100)
    assert found.sure_ms == pytest.approx((0.8 * 10 - 1) * 60_000)
    assert found.possible_ms == pytest.approx((1.25 * 10 - 1) * 60_000)
    by_events = reach(events=6000, rate=100)
    assert by_events.sure_ms == pytest.approx(0.8 * 600_000 * (1 - 1 / 8))
    assert by_events.possible_ms == pytest.approx(1.25 * 600_000 * (1 - 1 / 12.5))


def test_a_shape_gains_by_what_it_has_offered_until_then() -> None:
    ramp = reach(duration=1, rate=100, shape="ramp")
    assert ramp.sure_ms == pytest.approx(1000 * (0.8 * 3000 / 10 - 60))
    assert ramp.possible_ms == pytest.approx(1000 * (1.25 * 3000 / 10 - 60))
    early = [{"kind": "hold", "at": 1, "for": 6}, {"kind": "hold", "at": 0, "for": 54}]
    assert reach(duration=1, rate=100, shape=early).sure_ms == pytest.approx(1000 * (0.8 * 600 / 10 - 6), rel=1e-2)
    assert reach(events=600, rate=100, shape=early).sure_ms == pytest.approx(1000 * (0.8 * 600 / 10 - 6), rel=1e-2)
    assert reach(duration=1, rate=5, shape="spike") == TimeBounds(0.0, 0.0, 0.0)
    assert reach(continuous=True, rate=100, shape="sine") == TimeBounds(0.0, 0.0, math.inf)


def test_a_backfill_reaches_its_end_and_no_further() -> None:
    found = reach(START_MS - 86_400_000, end=START_MS + 86_400_000)
    assert found.possible_ms == pytest.approx(2 * 86_400_000, rel=1e-3)
    assert 1.95 * 86_400_000 < found.sure_ms < found.possible_ms
    assert reach(START_MS + 86_400_000, end=START_MS + 86_400_000).possible_ms <= 0


def test_a_run_without_end_is_sure_of_nothing_but_its_start() -> None:
    assert reach(continuous=True, rate="max") == reach(continuous=True, rate=100) == TimeBounds(0.0, 0.0, math.inf)


def test_events_that_bear_the_clocks_own_time_are_never_ahead() -> None:
    assert reach(0.0, duration=60, rate="max", timestamps="wall") == TimeBounds(0.0, 0.0, 0.0)


@pytest.mark.parametrize("presence", ["online", "everyday"])
def test_the_natural_rate_is_that_of_the_listeners(presence: str) -> None:
    plan = plan_of(users=30_000, presence=presence, end=START_MS + 1000)
    shard = Shard(plan.simulation, load(plan.catalog_path), np.arange(30_000), plan.model)
    assert natural_per_s(plan.simulation, plan.model) == pytest.approx(shard.events_per_s, rel=0.05)
