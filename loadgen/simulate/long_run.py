"""What changes over months: listeners join and leave, begin and cease to pay, and keep quiet on holidays.

Settings and listeners go in; each listener's own dates come out, drawn once from its key. Where the behaviour switches
nothing on, nothing is made, and nothing is looked at while the simulation runs. `LongRunGaps` holds sessions back until
a listener has joined, ends them when it has left, and thins them out on holidays.
"""

from datetime import date, timedelta

import numpy as np
import numpy.typing as npt

from loadgen.event import EventBatch, Int64s, Listeners, UInt64s
from loadgen.simulate.behaviour import LongRun
from loadgen.simulate.day_curve import DAY_MS, DayCurve
from loadgen.simulate.gaps import Gaps
from loadgen.simulate.rng import N_SLOTS, Purpose, draw_for, field16, second, third
from loadgen.simulate.world import SimulationSettings

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
        """See Gaps: nobody is in a session who has not joined."""
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
