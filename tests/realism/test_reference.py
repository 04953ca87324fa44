"""What the simulation makes of the shipped behaviour is where published data are.

The reference run has 10,000 listeners and 60 days, and reaches every target with three seeds; it is slow, and CI takes
one of them (TEST_REALISM=full all). A smaller run (1,200 listeners, 28 days) is part of every test run, with each band
widened by four standard errors, as measured over eight seeds. What depends on the sample's size itself is held against
its own mean over those seeds.
"""

import os

import pytest

from loadgen.realism.report import judge
from loadgen.realism.statistics import Value, statistics_of
from loadgen.realism.targets import Number, Sample, load_targets
from tests.realism.simulated import simulated, with_changes

USERS, DAYS = 1200, 28
N_ERRORS = 4
SEEDS = (1, 2, 3) if os.environ.get("TEST_REALISM") == "full" else (1,)
TARGETS = load_targets(None).targets
STANDARD_ERRORS = {
    "paid_listeners": 0.0154, "paid_16_24": 0.0731, "paid_35_44": 0.0500, "paid_45_54": 0.100, "paid_55_64": 0.0922,
    "paid_steps_down": 0.518, "paid_plays": 0.0181, "plays_mean": 0.427, "plays_median": 0.372, "plays_p90_p50": 0.233,
    "plays_p95_p50": 0.395, "plays_top_fifth": 0.00868, "plays_gini": 0.00748, "session_mean": 0.0972,
    "session_median": 0.1, "session_single": 0.00198, "hazard_10": 0.00313, "hazard_17_19": 0.00132,
    "hazard_falls": 0.0367, "session_20_of_10": 0.00191, "skip_5_s": 0.00127, "skip_30_s": 0.00181,
    "skip_end": 0.00273, "skip_first": 0.00251, "skip_fourth_on": 0.00296, "skip_teens": 0.00186,
    "skip_thirties": 0.0018, "skip_teens_less_thirties": 0.00272, "played_p25": 0.00104, "played_p50": 0.01,
    "played_half": 0.0019, "evening_over_night": 0.117, "trough_hour": 0.354, "peak_hour": 0.463,
    "morning_weekday_over_weekend": 0.0701, "sunday_over_friday": 0.0271, "friday_over_others": 0.0259,
    "artists_top_1": 0.00841, "artists_gini": 0.00292, "zipf_10_1000": 0.0144, "zipf_1_100": 0.0137,
    "zipf_flatter": 0.0198, "tier_mega": 0.00364, "tier_top": 0.00704, "tier_famous": 0.00475, "tier_indie": 0.00781,
    "mainstream_p10": 0.00442, "mainstream_p50": 0.00804, "mainstream_p90": 0.00552, "likes": 0.000187,
    "dislikes": 5.8e-05, "likes_over_dislikes": 0.176,
}  # fmt: skip
SMALL = {"artists_top_10": (0.7671, 0.00494), "repeats": (0.5747, 0.00524)}
"""Mean and standard error of what grows with the sample: fewer plays find fewer artists and repeat fewer tracks."""


def widened(number: Number) -> tuple[float, float]:
    """The band of a small run."""
    if number.statistic in SMALL:
        mean, error = SMALL[number.statistic]
        return mean - N_ERRORS * error, mean + N_ERRORS * error
    assert number.low is not None
    assert number.high is not None
    margin = N_ERRORS * STANDARD_ERRORS[number.statistic]
    return number.low - margin, number.high + margin


@pytest.fixture(scope="module")
def small() -> dict[str, Value]:
    return statistics_of(simulated(with_changes({}), USERS, DAYS, seed=21))


def test_a_small_run_is_within_the_bands_and_a_few_standard_errors(small: dict[str, Value]) -> None:
    outside = {}
    for number in (number for target in TARGETS for number in target.numbers if number.low is not None):
        value, (low, high) = small[number.statistic], widened(number)
        if value is None or not low <= value <= high:
            outside[number.statistic] = (value, low, high)
    assert outside == {}


def test_tracks_are_as_long_as_charting_songs_and_most_events_are_plays(small: dict[str, Value]) -> None:
    assert small["length_mean_s"] == pytest.approx(205, abs=4 * 0.26)
    assert small["plays_of_events"] == pytest.approx(0.794, abs=4 * 0.0005)


def test_no_target_is_missed_where_there_is_enough_for_it() -> None:
    for users, days in ((1000, 2), (1000, 7), (1900, 14)):
        seen = simulated(with_changes({}), users, days, seed=3)
        judged = judge(TARGETS, statistics_of(seen), Sample.of(seen))
        assert [one.target.name for one in judged if one.passed is False] == []
        assert sum(one.lacks_data for one in judged) + sum(one.passed is True for one in judged) == 20
    assert sum(one.passed is True for one in judged) >= 9


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", SEEDS)
def test_the_reference_run_reaches_every_target(seed: int) -> None:
    seen = simulated(with_changes({}), 10_000, 60, seed)
    judged = judge(TARGETS, statistics_of(seen), Sample.of(seen))
    assert [one.target.name for one in judged if one.target.is_gated and not one.passed] == []
    assert sum(one.passed is True for one in judged) == 20
