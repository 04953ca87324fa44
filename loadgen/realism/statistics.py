"""The statistics that targets name.

In: `ObservedListening`. Out: name → value; None if the events do not determine it. targets.toml says how each is
computed. Those by local hour and weekday use only days that the events cover completely in a time zone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from operator import sub
from typing import Any, Self

import numpy as np

from loadgen.event import DAY_MS, Bools, Float64s, Int64s
from loadgen.realism.facts import ADD, DAY_QUARTERS, DISLIKE, LIKE, PLAY, QUARTER_MS, local_quarters
from loadgen.realism.observed import STEPS, ObservedListening

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

    plays: Float64s
    n_days: Int64s

    @classmethod
    def of(cls, seen: ObservedListening) -> Self:
        """Compute the average days."""
        plays, n_days = np.zeros((7, 24)), []
        first, last = -(-seen.first_ms // QUARTER_MS), (seen.last_ms + 1) // QUARTER_MS
        for zone in np.unique(seen.hours["zone"]).tolist():
            at = seen.hours["zone"] == zone
            of_zone, n_of_zone = _average(zone, seen.hours["quarter"][at], seen.hours["plays"][at], first, last)
            plays += of_zone
            n_days.append(n_of_zone)
        return cls(plays, np.min(n_days, axis=0) if n_days else np.zeros(7, np.int64))

    def by_hour(self, weekend: bool | None = None) -> Float64s | None:
        """Plays in each hour of an average day, as shares: float64[24]; None without such a day."""
        days = slice(0, 7) if weekend is None else slice(SATURDAY, 7) if weekend else slice(0, SATURDAY)
        counted = self.plays[days][self.n_days[days] > 0]
        return counted.mean(axis=0) / counted.sum() * len(counted) if counted.sum() else None

    def evening_over_night(self) -> float | None:
        """See targets.toml."""
        return _of_known(lambda hours: _ratio(hours[EVENING].mean(), hours[NIGHT].mean()), self.by_hour())

    def extreme_hour(self, lowest: bool) -> float | None:
        """The hour, 0..23, with the fewest or the most plays."""
        return _of_known(np.argmin if lowest else np.argmax, self.by_hour())

    def morning_weekday_over_weekend(self) -> float | None:
        """See targets.toml."""
        days = (self.by_hour(weekend=is_weekend) for is_weekend in (False, True))
        return _of_known(lambda weekday, weekend: _ratio(weekday[MORNING].sum(), weekend[MORNING].sum()), *days)

    def over_friday(self, day: int) -> float | None:
        """Plays on an average day of this weekday, relative to Friday's."""
        friday, other = self.plays[FRIDAY].sum(), self.plays[day].sum()
        return float(other / friday) if friday and self.n_days[day] and self.n_days[FRIDAY] else None

    def friday_over_others(self) -> float | None:
        """Friday's plays relative to the highest other day's; None if a weekday is missing."""
        of_day = self.plays.sum(axis=1)
        others = np.delete(of_day, FRIDAY).max()
        return float(of_day[FRIDAY] / others) if others and self.n_days.all() else None


def _average(zone: int, quarters: Int64s, counts: Int64s, first: int, last: int) -> tuple[Float64s, Int64s]:
    """Plays in each hour of the average weekdays of a zone, and the number of each weekday."""
    local = local_quarters(zone, quarters)
    begin, end = local_quarters(zone, np.array([first, last], np.int64)).tolist()
    first_day, end_day = -(-begin // DAY_QUARTERS), end // DAY_QUARTERS
    day = local // DAY_QUARTERS
    whole = (day >= first_day) & (day < end_day)
    n_days = np.bincount((np.arange(first_day, end_day) + MONDAY_1970) % 7, minlength=7)
    cell = (day[whole] + MONDAY_1970) % 7 * 24 + local[whole] % DAY_QUARTERS // 4
    plays = np.bincount(cell, weights=counts[whole], minlength=168).reshape(7, 24)
    return plays / np.maximum(n_days, 1)[:, None], n_days


Value = float | None
TEENS, THIRTIES = (13, 19), (30, 39)
AGE_GROUPS = ((16, 24), (25, 34), (35, 44), (45, 54), (55, 64))
N_MEGA, N_TOP, N_FAMOUS = 8, 50, 500
"""Artists per tier, the most played first; used if no event names a tier."""


def statistics_of(seen: ObservedListening) -> dict[str, Value]:
    """Every statistic of STATISTICS."""
    days = Days.of(seen)
    return {name: _plain(compute(seen, days)) for name, compute in STATISTICS.items()}


def _plain(value: Value) -> Value:
    return None if value is None or not np.isfinite(value) else float(value)


def _of_known(compute: Callable[..., Value], *values: Any) -> Value:
    """The result of a function; None if one of its values is."""
    return None if any(value is None for value in values) else compute(*values)


def _ratio(part: float, whole: float) -> Value:
    return float(part) / float(whole) if whole else None


def _paid(seen: ObservedListening, low: int = -1, high: int = 1000) -> Value:
    """The share of paying listeners among those of these ages with a known level."""
    told = (seen.paid >= 0) & (seen.ages >= low) & (seen.ages <= high)
    return _ratio(int(np.count_nonzero(seen.paid[told] == 1)), int(np.count_nonzero(told)))


def _paid_at(seen: ObservedListening, group: int) -> Value:
    """The share of paying listeners in a group relative to the second group."""
    return _of_known(_ratio, *(_paid(seen, *AGE_GROUPS[number]) for number in (group, 1)))


def _paid_steps_down(seen: ObservedListening) -> Value:
    shares = [_paid(seen, *ages) for ages in AGE_GROUPS[1:]]
    if None in shares:
        return None
    return float(sum(one > other for one, other in pairwise(share or 0.0 for share in shares)))


def _per_day(seen: ObservedListening) -> Float64s | None:
    days = (seen.last_ms - seen.first_ms) / DAY_MS
    return seen.plays / days if days > 0 and len(seen.plays) else None


def _over_median(seen: ObservedListening, share: float) -> Value:
    if not len(seen.plays):
        return None
    high, middle = np.quantile(seen.plays, (share, 0.5))
    return _ratio(high, middle)


def _top(counts: Int64s, share: float) -> Value:
    """The share of all plays that the most played have."""
    n_top = max(1, round(share * len(counts)))
    return _ratio(np.sort(counts)[::-1][:n_top].sum(), counts.sum())


def _gini(counts: Int64s) -> Value:
    n, total = len(counts), counts.sum()
    rank = np.arange(1, n + 1)
    return float(2 * (rank * np.sort(counts)).sum() / (n * total) - (n + 1) / n) if total else None


def _at_least(seen: ObservedListening, n_plays: int) -> int:
    """The number of sessions of at least n_plays."""
    return int(seen.sizes[n_plays - 1 :].sum())


def _hazard(seen: ObservedListening, n_plays: int) -> Value:
    exactly = seen.sizes[n_plays - 1] if len(seen.sizes) >= n_plays else 0
    return _ratio(float(exactly), _at_least(seen, n_plays))


def _hazard_later(seen: ObservedListening) -> Value:
    found = [hazard for hazard in (_hazard(seen, n_plays) for n_plays in (17, 18, 19)) if hazard is not None]
    return sum(found) / len(found) if found else None


def _session_median(seen: ObservedListening) -> Value:
    if not seen.sizes.sum():
        return None
    return float(np.searchsorted(np.cumsum(seen.sizes), seen.sizes.sum() / 2) + 1)


def _skipped(seen: ObservedListening, which: Bools) -> Value:
    """The share of skipped plays in these rows of `skips`."""
    counts = seen.skips["n"]
    return _ratio(counts[which & (seen.skips["skipped"] == 1)].sum(), counts[which].sum())


def _skipped_at_age(seen: ObservedListening, low: int, high: int) -> Value:
    return _skipped(seen, (seen.skips["age"] >= low) & (seen.skips["age"] <= high))


def _played(seen: ObservedListening, share: float) -> Value:
    """The quantile of the played shares of tracks."""
    total = seen.played.sum()
    return float(np.searchsorted(np.cumsum(seen.played), share * total)) / STEPS if total else None


def _slope(counts: Int64s, first: int, last: int) -> Value:
    """Least squares of log plays by log rank."""
    if len(counts) < last:
        return None
    rank = np.arange(first, last + 1)
    return float(np.polyfit(np.log(rank), np.log(counts[first - 1 : last]), 1)[0])


def _tier(seen: ObservedListening, tier: int) -> Value:
    if seen.tier_plays.sum():
        return _ratio(seen.tier_plays[tier], seen.tier_plays.sum())
    ends = np.cumsum([0, N_MEGA, N_TOP, N_FAMOUS])
    last = ends[tier + 1] if tier < 3 else None
    return _ratio(seen.artists[ends[tier] : last].sum(), seen.artists.sum())


def _quantile(values: Float64s, share: float) -> Value:
    return float(np.quantile(values, share)) if len(values) else None


STATISTICS: dict[str, Callable[[ObservedListening, Days], Value]] = {
    "paid_listeners": lambda seen, _: _paid(seen),
    "paid_16_24": lambda seen, _: _paid_at(seen, 0),
    "paid_35_44": lambda seen, _: _paid_at(seen, 2),
    "paid_45_54": lambda seen, _: _paid_at(seen, 3),
    "paid_55_64": lambda seen, _: _paid_at(seen, 4),
    "paid_steps_down": lambda seen, _: _paid_steps_down(seen),
    "paid_plays": lambda seen, _: _ratio(seen.paid_plays[1], seen.paid_plays.sum()),
    "plays_mean": lambda seen, _: _of_known(np.mean, _per_day(seen)),
    "plays_median": lambda seen, _: _of_known(np.median, _per_day(seen)),
    "plays_p90_p50": lambda seen, _: _over_median(seen, 0.9),
    "plays_p95_p50": lambda seen, _: _over_median(seen, 0.95),
    "plays_top_fifth": lambda seen, _: _top(seen.plays, 0.2),
    "plays_gini": lambda seen, _: _gini(seen.plays),
    "session_mean": lambda seen, _: _ratio((seen.sizes * np.arange(1, len(seen.sizes) + 1)).sum(), seen.sizes.sum()),
    "session_median": lambda seen, _: _session_median(seen),
    "session_single": lambda seen, _: _hazard(seen, 1),
    "hazard_10": lambda seen, _: _hazard(seen, 10),
    "hazard_17_19": lambda seen, _: _hazard_later(seen),
    "hazard_falls": lambda seen, _: _of_known(_ratio, _hazard_later(seen), _hazard(seen, 10)),
    "session_20_of_10": lambda seen, _: _ratio(_at_least(seen, 20), _at_least(seen, 10)),
    "skip_5_s": lambda seen, _: _ratio(seen.next_s[:5].sum(), seen.skips["n"].sum()),
    "skip_30_s": lambda seen, _: _ratio(seen.next_s[:30].sum(), seen.skips["n"].sum()),
    "skip_end": lambda seen, _: _ratio(seen.next_s.sum(), seen.skips["n"].sum()),
    "skip_first": lambda seen, _: _skipped(seen, seen.skips["position"] == 1),
    "skip_fourth_on": lambda seen, _: _skipped(seen, seen.skips["position"] == 4),
    "skip_teens": lambda seen, _: _skipped_at_age(seen, *TEENS),
    "skip_thirties": lambda seen, _: _skipped_at_age(seen, *THIRTIES),
    "skip_teens_less_thirties": lambda seen, _: _of_known(
        sub, *(_skipped_at_age(seen, *ages) for ages in (TEENS, THIRTIES))
    ),
    "skip_free": lambda seen, _: _skipped(seen, seen.skips["level"] == 0),
    "skip_paid": lambda seen, _: _skipped(seen, seen.skips["level"] == 1),
    "played_p25": lambda seen, _: _played(seen, 0.25),
    "played_p50": lambda seen, _: _played(seen, 0.5),
    "played_half": lambda seen, _: _ratio(seen.played[STEPS // 2 :].sum(), seen.played.sum()),
    "evening_over_night": lambda _, days: days.evening_over_night(),
    "trough_hour": lambda _, days: days.extreme_hour(lowest=True),
    "peak_hour": lambda _, days: days.extreme_hour(lowest=False),
    "morning_weekday_over_weekend": lambda _, days: days.morning_weekday_over_weekend(),
    "sunday_over_friday": lambda _, days: days.over_friday(6),
    "friday_over_others": lambda _, days: days.friday_over_others(),
    "artists_top_1": lambda seen, _: _top(seen.artists, 0.01),
    "artists_top_10": lambda seen, _: _top(seen.artists, 0.1),
    "artists_gini": lambda seen, _: _gini(seen.artists),
    "zipf_10_1000": lambda seen, _: _slope(seen.artists, 10, 1000),
    "zipf_1_100": lambda seen, _: _slope(seen.artists, 1, 100),
    "zipf_flatter": lambda seen, _: _of_known(sub, _slope(seen.artists, 1, 100), _slope(seen.artists, 10, 1000)),
    "tier_mega": lambda seen, _: _tier(seen, 0),
    "tier_top": lambda seen, _: _tier(seen, 1),
    "tier_famous": lambda seen, _: _tier(seen, 2),
    "tier_indie": lambda seen, _: _tier(seen, 3),
    "mainstream_p10": lambda seen, _: _quantile(seen.mainstream, 0.1),
    "mainstream_p50": lambda seen, _: _quantile(seen.mainstream, 0.5),
    "mainstream_p90": lambda seen, _: _quantile(seen.mainstream, 0.9),
    "repeats": lambda seen, _: None if not seen.paired else 1 - seen.pairs / seen.paired,
    "likes": lambda seen, _: _ratio(seen.events[LIKE], seen.events[PLAY]),
    "dislikes": lambda seen, _: _ratio(seen.events[DISLIKE], seen.events[PLAY]),
    "likes_over_dislikes": lambda seen, _: _ratio(seen.events[LIKE], seen.events[DISLIKE]),
    "playlist_adds": lambda seen, _: _ratio(seen.events[ADD], seen.events[PLAY]),
    "length_mean_s": lambda seen, _: _ratio(seen.length_ms / 1000, seen.n_lengths),
    "plays_of_events": lambda seen, _: _ratio(seen.events[PLAY], seen.events.sum()),
}
"""Name → function that computes it."""
