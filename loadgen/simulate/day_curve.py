"""When sessions begin in everyday life: an inhomogeneous Poisson process over the listener's local week.

    rate(t) = sessions a day * shape(local hour of the week),   mean of shape = 1
    next    = C⁻¹(C(now) + E),  E exponential of mean 1 / sessions a day,  C(t) = ∫ shape, in days

C is a straight line within each hour, so it is inverted exactly. Local time is UTC plus the zone's offset of that UTC
day. Ends of sessions go in, the starts of the next come out.
"""

from bisect import bisect_left
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from loadgen.event import Int32s, Int64s, UInt16s
from loadgen.places import CITIES
from loadgen.simulate.behaviour import Everyday

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
WEEK_MS = 7 * DAY_MS
HOURS = 168
MONDAY_MS = 4 * DAY_MS
"""1970-01-05 was a Monday."""
N_DAYS = 3660
"""Offsets are known so long after the start, ten years; later, the last one stays."""
_STEP_DAYS = 14
_SATURDAY = 5


class DayCurve:
    """The shape of a week, and the clocks of the cities."""

    def __init__(self, everyday: Everyday, start_ms: int) -> None:
        """Prepare for simulated times from a week before start_ms on."""
        days = [everyday.weekend if day >= _SATURDAY else everyday.weekday for day in range(7)]
        hours = np.array([np.array(hours) / np.mean(hours) for hours in days]) * np.array(everyday.days)[:, None]
        self._shape = np.round(hours.reshape(-1) / hours.mean(), 9)
        self._cumulative = np.concatenate([[0.0], np.cumsum(self._shape / 24)])
        self._week = float(self._cumulative[-1])
        self._ms_per_sessions = DAY_MS / np.maximum(self._shape, 1e-9)
        zones = sorted({city.zone for city in CITIES})
        self._first_day = start_ms // DAY_MS - 7
        self._offset_ms = np.concatenate([_offsets_ms(zone, self._first_day) for zone in zones])
        self._offset_at = (np.array([zones.index(city.zone) for city in CITIES]) * N_DAYS) - self._first_day

    def local_ms(self, at_ms: Int64s, city: UInt16s) -> Int64s:
        """Wall-clock time in these cities at these moments, as ms since 1970 of a clock without zone."""
        day = np.minimum(at_ms // DAY_MS, self._first_day + N_DAYS - 1)
        return np.asarray(at_ms + self._offset_ms.take(self._offset_at.take(city) + day), np.int64)

    def shape(self, at_ms: Int64s, city: UInt16s) -> npt.NDArray[np.float64]:
        """The relative rate of new sessions at these moments; 1 on average over a week."""
        hour = (self.local_ms(at_ms, city) - MONDAY_MS) % WEEK_MS // HOUR_MS
        return np.asarray(self._shape[hour], np.float64)

    def after(self, at_ms: Int64s, city: UInt16s, days: npt.NDArray[np.float64]) -> Int64s:
        """The moment (int64, ms, after at_ms) by which so many average days' worth of sessions have begun."""
        local = self.local_ms(at_ms, city)
        in_week = (local - MONDAY_MS) % WEEK_MS
        hour = in_week // HOUR_MS
        goal = self._cumulative.take(hour) + self._shape.take(hour) * ((in_week - hour * HOUR_MS) * (1 / DAY_MS)) + days
        n_weeks = np.floor(goal * (1 / self._week))
        goal_ms = n_weeks.astype(np.int64) * WEEK_MS + self._invert(goal - n_weeks * self._week)
        found_ms = at_ms + (goal_ms - in_week)
        change_ms = self.local_ms(found_ms, city) - found_ms - (local - at_ms)  # clocks may have been changed meanwhile
        return np.asarray(np.maximum(found_ms - change_ms, at_ms + 1), np.int64)

    def _invert(self, cumulative: npt.NDArray[np.float64]) -> Int64s:
        """The ms of the week by which so many days' worth of sessions have begun."""
        hour = np.searchsorted(self._cumulative, cumulative, side="right") - 1
        hour = np.maximum(np.minimum(hour, HOURS - 1), 0)
        rest_ms = (cumulative - self._cumulative.take(hour)) * self._ms_per_sessions.take(hour)
        return np.asarray(hour * HOUR_MS + np.minimum(rest_ms, HOUR_MS - 1).astype(np.int64), np.int64)


@lru_cache(maxsize=512)
def _changes(zone: str, first_day: int) -> tuple[tuple[int, int], ...]:
    """The days (since first_day) from which on an offset (ms) holds, in order; the first is day 0."""
    offset_on = lru_cache(None)(lambda day: _offset_ms(zone, first_day + day))
    found = [(0, offset_on(0))]
    for start in range(0, N_DAYS - 1, _STEP_DAYS):
        stop = min(start + _STEP_DAYS, N_DAYS - 1)
        if offset_on(stop) != offset_on(start):
            new = offset_on(stop)
            found.append((bisect_left(range(start, stop), True, key=lambda day: offset_on(day) == new) + start, new))
    return tuple(found)


def _offset_ms(zone: str, utc_day: int) -> int:
    """The zone's offset at noon UTC of a day (days since 1970)."""
    noon = datetime(1970, 1, 1, 12, tzinfo=UTC) + timedelta(days=utc_day)
    offset = noon.astimezone(ZoneInfo(zone)).utcoffset()
    return round(offset / timedelta(milliseconds=1)) if offset else 0


def _offsets_ms(zone: str, first_day: int) -> Int32s:
    """int32[days]: the zone's offset on each UTC day."""
    changes = _changes(zone, first_day)
    starts = [day for day, _ in changes] + [N_DAYS]
    return np.repeat(np.array([offset for _, offset in changes], np.int32), np.diff(starts))
