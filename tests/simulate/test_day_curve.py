"""Sessions begin by the listener's own clock, also where clocks are changed."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.event import DAY_MS
from loadgen.places import CITIES
from loadgen.simulate.behaviour import Everyday
from loadgen.simulate.gaps import HOUR_MS, DayCurve
from tests.simulate.world import BEHAVIOUR, MONDAY_MS

EVEN = [1.0] * 24
NEW_YORK = next(i for i, city in enumerate(CITIES) if city.zone == "America/New_York")
SEOUL = next(i for i, city in enumerate(CITIES) if city.zone == "Asia/Seoul")


def _ms(year: int, month: int, day: int, hour: int = 0) -> int:
    return int(datetime(year, month, day, hour, tzinfo=UTC).timestamp()) * 1000


def _everyday(weekday: list[float], weekend: list[float] | None = None, days: list[float] | None = None) -> Everyday:
    return Everyday(weekday=tuple(weekday), weekend=tuple(weekend or weekday), days=tuple(days or [1.0] * 7))


def _only(hour: int) -> list[float]:
    return [float(hour == h) for h in range(24)]


def _cities(city: int, n: int) -> np.ndarray:
    return np.full(n, city, np.uint16)


@pytest.mark.parametrize("city", [NEW_YORK, SEOUL])
def test_the_hour_that_is_busy_is_busy_in_local_time_before_and_after_clocks_change(city: int) -> None:
    start_ms = _ms(2025, 10, 20)
    curve = DayCurve(_everyday(_only(18)), start_ms)
    at = np.full(400, start_ms)
    days = np.linspace(0.01, 27.99, 400)
    found = curve.after(at, _cities(city, 400), days)
    zone = ZoneInfo(CITIES[city].zone)
    hours = [datetime.fromtimestamp(ms / 1000, zone).hour for ms in found.tolist()]
    assert set(hours) == {18}
    offsets = {datetime.fromtimestamp(ms / 1000, zone).utcoffset() for ms in found.tolist()}
    assert len(offsets) == (2 if city == NEW_YORK else 1)  # New York leaves summer time on 2 November


def test_local_time_is_that_of_zoneinfo_on_any_day_of_ten_years() -> None:
    curve = DayCurve(BEHAVIOUR.everyday, MONDAY_MS)
    noons = MONDAY_MS + np.arange(3640) * DAY_MS + 12 * HOUR_MS
    for city in (NEW_YORK, SEOUL, *range(0, len(CITIES), 29)):
        zone = ZoneInfo(CITIES[city].zone)
        offsets = [datetime.fromtimestamp(ms / 1000, zone).utcoffset() for ms in noons.tolist()]
        expected = [int(offset.total_seconds()) for offset in offsets if offset is not None]
        local = curve.local_ms(noons, _cities(city, len(noons)))
        assert ((local - noons) // 1000).tolist() == expected


def test_an_even_week_gives_back_the_time_asked_for() -> None:
    curve = DayCurve(_everyday(EVEN), MONDAY_MS)
    at = MONDAY_MS + np.arange(1000) * 12_345
    days = np.linspace(0.001, 40, 1000)
    found = curve.after(at, _cities(SEOUL, 1000), days)
    assert np.abs(found - at - days * DAY_MS).max() <= 1.001  # rounded down to a millisecond


@given(st.integers(0, 10 * DAY_MS), st.floats(1e-6, 30), st.floats(1e-6, 30))
def test_waiting_twice_is_waiting_for_the_sum(since_ms: int, first: float, then: float) -> None:
    curve = CURVE
    at, city = np.array([MONDAY_MS + since_ms]), _cities(SEOUL, 1)
    halfway = curve.after(at, city, np.array([first]))
    twice = curve.after(halfway, city, np.array([then]))
    once = curve.after(at, city, np.array([first + then]))
    assert at[0] < halfway[0] < twice[0]
    assert abs(int(once[0] - twice[0])) <= 20  # each call rounds down to a millisecond, at up to 1/0.2 of the mean rate


CURVE = DayCurve(BEHAVIOUR.everyday, MONDAY_MS)


def test_the_shape_has_mean_one_and_follows_weekday_and_hour() -> None:
    hours = MONDAY_MS - 9 * HOUR_MS + np.arange(168) * HOUR_MS  # a week from Monday 00 h in Seoul
    shape = CURVE.shape(hours, _cities(SEOUL, 168)).reshape(7, 24)
    everyday = BEHAVIOUR.everyday
    assert shape.mean() == pytest.approx(1.0)
    assert shape[0] / shape[0].mean() == pytest.approx(np.array(everyday.weekday) / np.mean(everyday.weekday))
    assert shape[6] / shape[6].mean() == pytest.approx(np.array(everyday.weekend) / np.mean(everyday.weekend))
    assert shape.mean(axis=1) / shape.mean() == pytest.approx(np.array(everyday.days) / np.mean(everyday.days))


def test_hours_without_sessions_are_passed_over() -> None:
    curve = DayCurve(_everyday(_only(3), _only(4)), MONDAY_MS)
    friday = MONDAY_MS + 4 * DAY_MS
    found = curve.after(np.array([friday]), _cities(SEOUL, 1), np.array([1.0]))
    assert datetime.fromtimestamp(int(found[0]) / 1000, ZoneInfo("Asia/Seoul")).hour == 4
