"""The targets can be missed: each calibrated number, shifted by a quarter, fails one that its comment names.

The slow test takes every sixth shift, and all of them (ten minutes) with TEST_REALISM=full.
"""

import os
from functools import cache

import pytest

from loadgen.realism.statistics import Value, statistics_of
from loadgen.realism.targets import load_targets
from tests.realism.calibrated import CALIBRATED, DOWN, UP, Calibrated, shifts
from tests.realism.simulated import simulated, with_changes

USERS, DAYS, SEED = 3000, 30, 1
QUICK_USERS, QUICK_DAYS = 600, 14
QUICK = [
    *((one, DOWN) for one in CALIBRATED if one.path == "session.tracks_spread"),
    *((one, UP) for one in CALIBRATED if one.path == "everyday.days"),
]
TARGETS = load_targets(None).targets
SHIFTS = list(shifts())[:: 1 if os.environ.get("TEST_REALISM") == "full" else 6]


def name(value: Calibrated | float) -> str:
    """Of a test."""
    return value.name if isinstance(value, Calibrated) else f"{value:g}"


def missed(values: dict[str, Value]) -> dict[str, set[str]]:
    """Target → its statistics outside of their bands."""
    found = {
        target.name: {one.statistic for one in target.numbers if one.passes(values[one.statistic]) is False}
        for target in TARGETS
    }
    return {target: statistics for target, statistics in found.items() if statistics}


@cache
def unshifted(users: int, days: int) -> dict[str, set[str]]:
    """What a run of this size misses as it is: only what grows with the sample."""
    return missed(statistics_of(simulated(with_changes({}), users, days, SEED)))


def newly_missed(one: Calibrated, factor: float, users: int, days: int) -> set[str]:
    """The targets of which the shift takes another statistic out of its band."""
    before = unshifted(users, days)
    after = missed(statistics_of(simulated(with_changes(one.shifted(factor)), users, days, SEED)))
    return {target for target, statistics in after.items() if statistics - before.get(target, set())}


@pytest.mark.slow
@pytest.mark.parametrize(("one", "factor"), QUICK, ids=name)
def test_a_large_effect_shows_in_a_small_run(one: Calibrated, factor: float) -> None:
    assert newly_missed(one, factor, QUICK_USERS, QUICK_DAYS) & set(one.serves)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("one", "factor"), SHIFTS, ids=name)
def test_every_calibrated_number_is_told_by_a_target(one: Calibrated, factor: float) -> None:
    assert newly_missed(one, factor, USERS, DAYS)
