"""Plays by local hour and weekday.

In: plays by zone and quarter of an hour. Out: how many there are in each hour of an average Monday, Tuesday …
Only days that the events cover whole count, of each zone.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from loadgen.realism.seen import Seen
from loadgen.realism.zones import DAY_QUARTERS, QUARTER_MS, local_quarters

FRIDAY, SATURDAY = 4, 5
MONDAY_1970 = 3
"""1970-01-01 was a Thursday: day 0 is weekday 3."""
EVENING, NIGHT, MORNING = slice(16, 20), slice(0, 5), slice(7, 10)


@dataclass(frozen=True, slots=True)
class Days:
    """Average days.

    Attributes:
        plays: float64[7, 24], plays in each hour of an average Monday, Tuesday …; summed over the zones.
        n_days: int64[7], whole days of each weekday, in the zone that has the fewest.
    """

    plays: npt.NDArray[np.float64]
    n_days: npt.NDArray[np.int64]

    @classmethod
    def of(cls, seen: Seen) -> Self:
        """Work them out."""
        plays, n_days = np.zeros((7, 24)), []
        first, last = -(-seen.first_ms // QUARTER_MS), (seen.last_ms + 1) // QUARTER_MS
        for zone in np.unique(seen.hours["zone"]).tolist():
            at = seen.hours["zone"] == zone
            of_zone, n_of_zone = _average(zone, seen.hours["quarter"][at], seen.hours["plays"][at], first, last)
            plays += of_zone
            n_days.append(n_of_zone)
        return cls(plays, np.min(n_days, axis=0) if n_days else np.zeros(7, np.int64))

    def by_hour(self, weekend: bool | None = None) -> npt.NDArray[np.float64] | None:
        """Plays in each hour of an average day, as shares: float64[24]; None where there is no such day."""
        days = slice(0, 7) if weekend is None else slice(SATURDAY, 7) if weekend else slice(0, SATURDAY)
        counted = self.plays[days][self.n_days[days] > 0]
        return counted.mean(axis=0) / counted.sum() * len(counted) if counted.sum() else None

    def evening_over_night(self) -> float | None:
        """See targets.toml."""
        hours = self.by_hour()
        return None if hours is None or not hours[NIGHT].sum() else float(hours[EVENING].mean() / hours[NIGHT].mean())

    def extreme_hour(self, lowest: bool) -> float | None:
        """The hour, 0..23, with the fewest or the most plays."""
        hours = self.by_hour()
        return None if hours is None else float(hours.argmin() if lowest else hours.argmax())

    def morning_weekday_over_weekend(self) -> float | None:
        """See targets.toml."""
        weekday, weekend = self.by_hour(weekend=False), self.by_hour(weekend=True)
        if weekday is None or weekend is None or not weekend[MORNING].sum():
            return None
        return float(weekday[MORNING].sum() / weekend[MORNING].sum())

    def over_friday(self, day: int) -> float | None:
        """Plays on an average day of this weekday, relative to Friday's."""
        friday, other = self.plays[FRIDAY].sum(), self.plays[day].sum()
        return float(other / friday) if friday and self.n_days[day] and self.n_days[FRIDAY] else None

    def friday_over_others(self) -> float | None:
        """Friday's plays relative to the highest other day's; None unless there is every weekday."""
        of_day = self.plays.sum(axis=1)
        others = np.delete(of_day, FRIDAY).max()
        return float(of_day[FRIDAY] / others) if others and self.n_days.all() else None


def _average(
    zone: int, quarters: npt.NDArray[np.int64], counts: npt.NDArray[np.int64], first: int, last: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Plays in each hour of the average weekdays of a zone, and how many of each there are."""
    local = local_quarters(zone, quarters)
    begin, end = local_quarters(zone, np.array([first, last], np.int64)).tolist()
    first_day, end_day = -(-begin // DAY_QUARTERS), end // DAY_QUARTERS
    day = local // DAY_QUARTERS
    whole = (day >= first_day) & (day < end_day)
    n_days = np.bincount((np.arange(first_day, end_day) + MONDAY_1970) % 7, minlength=7)
    cell = (day[whole] + MONDAY_1970) % 7 * 24 + local[whole] % DAY_QUARTERS // 4
    plays = np.bincount(cell, weights=counts[whole], minlength=168).reshape(7, 24)
    return plays / np.maximum(n_days, 1)[:, None], n_days
