"""How many events there were over time, by the events' own time, in buckets as wide as the data ask for.

In: times of events, in any order. Out: events in the last 60 s, and at most N_BUCKETS counts that end with the newest
event, not now: what is simulated or filled in later has a clock of its own. Memory is bounded.
"""

from dataclasses import dataclass, field

import numpy as np

from loadgen.event import Int64s

N_BUCKETS = 60
WIDTHS_S = (1, 5, 15, 60, 300, 900, 3600, 21_600, 86_400)
"""Widths of buckets: 60 of them last from a minute to two months."""
COVERED = 0.99
"""The share of all events that the chosen buckets hold at least; a few stray times do not widen them."""
NOTHING = -1


@dataclass(slots=True)
class Buckets:
    """The last N_BUCKETS buckets of one width.

    Exact whatever the order: an event that lies outside when it comes would lie outside later, too.

    Attributes:
        width_s: seconds.
        newest: the number of the newest event's bucket since 1970.
        counts: int64[N_BUCKETS], events; the last is that of `newest`.
    """

    width_s: int
    newest: int = NOTHING
    counts: Int64s = field(default_factory=lambda: np.zeros(N_BUCKETS, np.int64))

    def add(self, seconds: Int64s) -> None:
        """Count events (int64, seconds since 1970, at least one)."""
        buckets = seconds // self.width_s
        self._move_to(int(buckets.max()))
        places = buckets - (self.newest - N_BUCKETS + 1)
        self.counts += np.bincount(places[places >= 0], minlength=N_BUCKETS)

    def _move_to(self, newest: int) -> None:
        by = newest - self.newest
        if by <= 0:
            return
        if by < N_BUCKETS:
            self.counts[:-by] = self.counts[by:].copy()
            self.counts[-by:] = 0
        else:
            self.counts[:] = 0
        self.newest = newest


@dataclass(frozen=True, slots=True)
class Timeline:
    """Counts over time.

    Attributes:
        first_ms: the begin of the first bucket that has an event, milliseconds since 1970; None without events.
        bucket_s: the width of a bucket.
        counts: events of each bucket, up to the newest event's, which may go on.
        n_before: events before the first bucket.
    """

    first_ms: int | None
    bucket_s: int
    counts: list[int]
    n_before: int


class Window:
    """Counts by time, in buckets of every width."""

    def __init__(self) -> None:
        """Empty."""
        self._n_events = 0
        self._levels = [Buckets(width_s) for width_s in WIDTHS_S]

    def add(self, times_ms: Int64s) -> None:
        """Count events (int64, milliseconds since 1970, not negative)."""
        if len(times_ms) == 0:
            return
        self._n_events += len(times_ms)
        seconds = times_ms // 1000
        for level in self._levels:
            level.add(seconds)

    def last_minute(self) -> int:
        """Events in the 60 seconds that end with the newest event's."""
        return int(self._levels[0].counts.sum())

    def timeline(self) -> Timeline:
        """In the narrowest buckets that hold nearly all events, or in the widest ones."""
        if self._n_events == 0:
            return Timeline(None, WIDTHS_S[0], [], 0)
        enough = COVERED * self._n_events
        level = next((one for one in self._levels if one.counts.sum() >= enough), self._levels[-1])
        first = int(np.flatnonzero(level.counts)[0])
        first_ms = (level.newest - N_BUCKETS + 1 + first) * level.width_s * 1000
        return Timeline(
            first_ms, level.width_s, level.counts[first:].tolist(), self._n_events - int(level.counts.sum())
        )
