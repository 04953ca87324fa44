"""When a listener's next session starts, and what changes that over months.

In: settings, listeners and the ends of sessions. Out: the starts of the next sessions.

`OnlineGaps` are short, as in a load test. `EverydayGaps` are an inhomogeneous Poisson process over the listener's local
week:

    rate(t) = sessions a day * shape(local hour of the week),   mean of shape = 1
    next    = C⁻¹(C(now) + E),  E exponential of mean 1 / sessions a day,  C(t) = ∫ shape, in days

C is a straight line within each hour, so its inverse is exact. Local time is UTC plus the zone's offset on that UTC
day.

`LongRunGaps` delay sessions until a listener has joined, end them when the listener has left, and thin them out on
holidays. The dates of a listener are drawn once, from its key; a behaviour without long-run changes costs nothing.
"""

from bisect import bisect_left
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Protocol
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from loadgen.event import DAY_MS, EventBatch, Int32s, Int64s, Listeners, UInt16s, UInt64s
from loadgen.places import CITIES
from loadgen.rng import N_SLOTS, Purpose, draw_for, field16, second, third
from loadgen.simulate.behaviour import Everyday, LongRun
from loadgen.simulate.pace import Pace
from loadgen.simulate.state import age_band
from loadgen.simulate.tables import exponential
from loadgen.simulate.world import SimulationSettings

HOUR_MS = 3_600_000
WEEK_MS = 7 * DAY_MS
HOURS = 168
MONDAY_MS = 4 * DAY_MS
"""1970-01-05 was a Monday."""
N_DAYS = 3660
"""Offsets are computed for ten years after the start; later, the last one stays."""
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
        """The moment (int64, ms, after at_ms) by which this number of average days' worth of sessions has begun."""
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
        """The ms of the week by which this number of days' worth of sessions has begun."""
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


LONGEST_GAP_DAYS = 3650.0
LEAST_PLAYS_PER_DAY = 1e-3
MOST_BUSY = 0.9
"""No listener listens more than this share of the time, however many plays a day were drawn."""


class Gaps(Protocol):
    """The time between a listener's sessions."""

    def next_ms(self, end_ms: Int64s, rows: Int64s, bits32: Int64s) -> Int64s:
        """When the next session begins, after a session (or any moment without one) that ended at end_ms.

        Args:
            end_ms: int64[n], ms since 1970.
            rows: the listeners' positions in the shard.
            bits32: 32 random bits each.
        """

    def busy_prob(self, at_ms: int, rows: Int64s, bands: Int64s) -> npt.NDArray[np.float64]:
        """The probability that a listener is in a session at this moment: float64[n]."""

    def events_per_s(self, bands: Int64s) -> float:
        """Events a second of all listeners, on average; bands[n_listeners] are their age bands."""


class OnlineGaps:
    """Exponential gaps with the mean that the behaviour gives."""

    def __init__(self, settings: SimulationSettings, pace: Pace) -> None:
        self._mean_ms = 1000.0 * settings.behaviour.online.gap_mean_s
        self._pace = pace

    def next_ms(self, end_ms: Int64s, rows: Int64s, bits32: Int64s) -> Int64s:
        """See Gaps."""
        return end_ms + 1 + (exponential(bits32) * self._mean_ms).astype(np.int64)

    def busy_prob(self, at_ms: int, rows: Int64s, bands: Int64s) -> npt.NDArray[np.float64]:
        """See Gaps."""
        session_ms = self._pace.session_ms
        return np.asarray((session_ms / (session_ms + self._mean_ms))[bands], np.float64)

    def events_per_s(self, bands: Int64s) -> float:
        """See Gaps."""
        per_session_ms = self._pace.session_ms + self._mean_ms
        per_listener = 1000.0 * self._pace.events_per_session / per_session_ms
        return float(np.bincount(bands, minlength=len(per_listener)) @ per_listener)


class EverydayGaps:
    """A Poisson process over the local week, as busy as the listener is."""

    def __init__(self, settings: SimulationSettings, pace: Pace, listeners: Listeners) -> None:
        self._pace = pace
        self._listeners = listeners
        self._curve = DayCurve(settings.behaviour.everyday, settings.start_ms)
        self._session_days = pace.session_ms / DAY_MS
        self._tracks_per_session = pace.tracks_per_session

    def next_ms(self, end_ms: Int64s, rows: Int64s, bits32: Int64s) -> Int64s:
        """See Gaps."""
        bands = age_band(self._listeners.age.take(rows))
        days = np.minimum(exponential(bits32) / self._rate_per_day(rows, bands), LONGEST_GAP_DAYS)
        return self._curve.after(end_ms, self._listeners.city.take(rows), days)

    def busy_prob(self, at_ms: int, rows: Int64s, bands: Int64s) -> npt.NDArray[np.float64]:
        """See Gaps: by the rate at which sessions began half a session earlier."""
        session_days = self._session_days[bands]
        began_ms = at_ms - (session_days * (0.5 * DAY_MS)).astype(np.int64)
        shape = self._curve.shape(began_ms, self._listeners.city.take(rows))
        load = self._rate_per_day(rows, bands) * shape * session_days
        return np.asarray(load / (1.0 + load), np.float64)

    def events_per_s(self, bands: Int64s) -> float:
        """See Gaps."""
        plays_per_day = float(self._listeners.plays_per_day.sum(dtype=np.float64))
        return plays_per_day / self._pace.tracks_per_session * self._pace.events_per_session / 86_400.0

    def _rate_per_day(self, rows: Int64s, bands: Int64s) -> npt.NDArray[np.float64]:
        """Sessions begun per day of being away, so that the mean is plays_per_day although listening takes time too."""
        plays_per_day = self._listeners.plays_per_day.take(rows).astype(np.float64)
        sessions = np.maximum(plays_per_day, LEAST_PLAYS_PER_DAY) * (1.0 / self._tracks_per_session)
        return sessions / (1.0 - np.minimum(sessions * self._session_days.take(bands), MOST_BUSY))


def gaps_of(settings: SimulationSettings, pace: Pace, listeners: Listeners) -> Gaps:
    """The gaps that the settings' presence asks for."""
    if settings.presence == "online":
        return OnlineGaps(settings, pace)
    return EverydayGaps(settings, pace, listeners)


YEAR_MS = 365.25 * DAY_MS
NEVER_MS = 1 << 53
"""Later than any event: the year 287396."""
MOST_TRIES = 32
_EPOCH = date(1970, 1, 1)


def joins_ms(long_run: LongRun, key: UInt64s, start_ms: int) -> Int64s:
    """When each listener registers, if it is one of those who do so after the start; else 0."""
    bits = draw_for(key, Purpose.LONG_RUN)
    joins = field16(bits, 0) < round(long_run.join_share * N_SLOTS)
    after_ms = (field16(bits, 1) * (long_run.join_days * DAY_MS / N_SLOTS)).astype(np.int64)
    return np.where(joins, start_ms + after_ms, 0)


class Dates:
    """The dates of a shard's listeners.

    Attributes:
        joins_ms: int64[n], no session begins earlier; 0 for who was there before.
        leaves_ms: int64[n], no session begins at or after it; NEVER_MS for who stays.
        changes_ms: int64[n], from then on a listener pays who did not, and the other way round; NEVER_MS for no change.
    """

    __slots__ = ("changes_ms", "joins_ms", "leaves_ms")

    def __init__(self, settings: SimulationSettings, listeners: Listeners) -> None:
        """Draw them."""
        long_run, start_ms = settings.behaviour.long_run, settings.start_ms
        bits = draw_for(listeners.key, Purpose.LONG_RUN)
        self.joins_ms = joins_ms(long_run, listeners.key, start_ms)
        since_ms = np.maximum(self.joins_ms, start_ms)
        stays = np.full(len(listeners), long_run.leave_per_year)
        self.leaves_ms = since_ms + _waits_ms(stays, second(bits))
        paid = listeners.level == 1
        per_year = np.where(paid, long_run.downgrade_per_year, long_run.upgrade_per_year)
        self.changes_ms = since_ms + _waits_ms(per_year, third(bits))

    def apply(self, batch: EventBatch) -> None:
        """Change the level of events after a listener's change."""
        batch.level ^= (batch.ts_ms >= self.changes_ms.take(batch.row)).astype(np.uint8)


def _waits_ms(per_year: npt.NDArray[np.float64], bits: Int64s) -> Int64s:
    """Exponential times, in which something happens within a year with these probabilities: int64, ms."""
    rate = -np.log1p(-np.minimum(per_year, 1 - 1e-9))
    u = ((bits >> 11) & ((1 << 52) - 1)) * 2.0**-52
    years = np.round(-np.log1p(-u), 9) / np.maximum(rate, 1e-12)
    return np.where(rate > 0, np.minimum(years * YEAR_MS, NEVER_MS / 2), NEVER_MS / 2).astype(np.int64)


class LongRunGaps:
    """Gaps between the sessions of listeners who join, leave, and rest on holidays."""

    def __init__(self, inner: Gaps, dates: Dates, settings: SimulationSettings, listeners: Listeners) -> None:
        """Wrap the gaps that presence asks for."""
        long_run = settings.behaviour.long_run
        self._inner, self._dates, self._city = inner, dates, listeners.city
        self._keep_slots = round(long_run.holiday_factor * N_SLOTS)
        self._days = _holidays(long_run, settings.start_ms)
        has_holidays = len(self._days) > 0 and long_run.holiday_factor < 1
        self._curve = DayCurve(settings.behaviour.everyday, settings.start_ms) if has_holidays else None

    def next_ms(self, end_ms: Int64s, rows: Int64s, bits32: Int64s) -> Int64s:
        """See Gaps."""
        found = self._inner.next_ms(np.maximum(end_ms, self._dates.joins_ms.take(rows)), rows, bits32)
        if self._curve is not None:
            self._pass_over_holidays(self._curve, found, rows, bits32)
        found[found >= self._dates.leaves_ms.take(rows)] = NEVER_MS
        return found

    def busy_prob(self, at_ms: int, rows: Int64s, bands: Int64s) -> npt.NDArray[np.float64]:
        """See Gaps: no listener is in a session before joining."""
        there = self._dates.joins_ms.take(rows) <= at_ms
        return np.asarray(self._inner.busy_prob(at_ms, rows, bands) * there, np.float64)

    def events_per_s(self, bands: Int64s) -> float:
        """See Gaps: as if everybody were there."""
        return self._inner.events_per_s(bands)

    def _pass_over_holidays(self, curve: DayCurve, found: Int64s, rows: Int64s, bits: Int64s) -> None:
        """Move sessions on from holidays, so that as many are left as the behaviour says; changes `found`.

        One that is given up makes room for the next, which may be on the holiday too; who has given up MOST_TRIES of
        them rests until the day is over.
        """
        at = np.arange(len(found))
        for n_tries in range(MOST_TRIES + 1):
            bits = second(bits)
            local_ms = curve.local_ms(found.take(at), self._city.take(rows.take(at)))
            given_up = np.isin(local_ms // DAY_MS, self._days) & (field16(bits, 3) >= self._keep_slots)
            at, bits, local_ms = at[given_up], bits[given_up], local_ms[given_up]
            if not len(at):
                return
            if n_tries == MOST_TRIES:
                found[at] += DAY_MS - local_ms % DAY_MS
            else:
                found[at] = self._inner.next_ms(found.take(at), rows.take(at), bits & 0xFFFFFFFF)


def _holidays(long_run: LongRun, start_ms: int) -> Int64s:
    """The holidays of eleven years, as days since 1970."""
    first = (_EPOCH + timedelta(days=start_ms // DAY_MS)).year
    months_days = [tuple(map(int, text.split("-"))) for text in long_run.holidays]
    dates = [date(year, month, day) for year in range(first, first + 11) for month, day in months_days]
    return np.array([(one - _EPOCH).days for one in dates], np.int64)
