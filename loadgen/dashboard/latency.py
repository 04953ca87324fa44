"""How long it takes an event to get here: from its own time to when it was read.

In: times of events, when they are read. Out: percentiles over the last minute. An event's own time is the time at which
it was due, so that an overloaded producer is not hidden; it tells the latency only where it is of the wall clock.
"""

from collections import deque
from typing import NamedTuple

import numpy as np

from loadgen.event import Int64s
from loadgen.histogram import Histogram, Sparse, merged

WINDOW_S = 60
AHEAD_S = 1.0
"""Clocks of machines differ by less; events of a time that is further ahead have a clock of their own."""
BEHIND_S = 120.0
"""Events that are as a rule older than this when they are read may be of a clock of their own."""


class Percentiles(NamedTuple):
    """Latencies of the events that were read in the last minute.

    Attributes:
        n_events: how many.
        p50_ms, p99_ms: milliseconds.
        is_plausible: whether the events' times look like those of the wall clock.
    """

    n_events: int
    p50_ms: float
    p99_ms: float
    is_plausible: bool


class _Second(NamedTuple):
    number: int
    ages: Sparse
    least_s: float


class Latency:
    """Ages of events when they were read; a histogram for each second of the last minute."""

    def __init__(self) -> None:
        """Nothing was read yet."""
        self._seconds: deque[_Second] = deque()

    def add(self, times_ms: Int64s, now_s: float) -> None:
        """Take note of events that were read now.

        Args:
            times_ms: int64, the events' own times, milliseconds since 1970.
            now_s: seconds since 1970.
        """
        if len(times_ms) == 0:
            return
        ages_s = now_s - times_ms / 1000
        ages, least_s = Histogram(), float(ages_s.min())
        ages.record(np.asarray(ages_s, np.float64))
        if self._seconds and self._seconds[-1].number == int(now_s):
            last = self._seconds.pop()
            ages.merge(last.ages.full())
            least_s = min(least_s, last.least_s)
        self._seconds.append(_Second(int(now_s), Sparse.of(ages), least_s))
        self._forget(now_s)

    def percentiles(self, now_s: float) -> Percentiles | None:
        """Of the last minute; None where nothing was read in it."""
        self._forget(now_s)
        if not self._seconds:
            return None
        ages = merged(second.ages.full() for second in self._seconds)
        p50_s, p99_s = ages.quantile_s(0.5), ages.quantile_s(0.99)
        is_plausible = min(second.least_s for second in self._seconds) >= -AHEAD_S and p50_s <= BEHIND_S
        return Percentiles(len(ages), round(p50_s * 1000, 1), round(p99_s * 1000, 1), is_plausible)

    def _forget(self, now_s: float) -> None:
        while self._seconds and self._seconds[0].number <= int(now_s) - WINDOW_S:
            self._seconds.popleft()
