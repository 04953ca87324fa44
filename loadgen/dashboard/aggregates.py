"""The metrics of the page, updated incrementally: showing them costs the same after ten events as after ten million.

In: pieces of rows, each event once, in any order. Out: metrics as JSON types.

Memory is bounded: groups, time buckets and open plays have limits, and an exact distinct count takes 8 bytes per
different listener, artist or track.
"""

from collections import deque
from dataclasses import asdict, dataclass, field
from heapq import nlargest
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loadgen.dashboard.play_durations import STARTS, PlayDurations
from loadgen.dashboard.rows import EventPiece
from loadgen.event import Int64s, UInt64s
from loadgen.histogram import Histogram, Sparse, merged

MOST_VALUES = 10_000
"""The number of different values that are counted; events of further values are counted together, as `others`."""
MOST_VALUE_LETTERS = 100
"""Longer texts are cut, which bounds memory whatever producers send."""


class Groups:
    """Counts of events by genre, platform, action, country, artist or track.

    Attributes:
        n_events: events that have a value.
        others: of them, those whose value came after MOST_VALUES different ones.
    """

    def __init__(self) -> None:
        self.n_events = 0
        self.others = 0
        self._counts: dict[str, int] = {}

    def add(self, column: pa.ChunkedArray) -> None:
        """Count the values of a text column, nulls excluded. Costs one step per different value, not per event."""
        counted = pc.value_counts(column.combine_chunks())
        for value, count in zip(counted.field(0).to_pylist(), counted.field(1).to_pylist(), strict=True):
            if value is None:
                continue
            name = value[:MOST_VALUE_LETTERS]
            self.n_events += count
            if name in self._counts or len(self._counts) < MOST_VALUES:
                self._counts[name] = self._counts.get(name, 0) + count
            else:
                self.others += count

    def figures(self, n_top: int) -> dict[str, Any]:
        """The most frequent values, the number of events that have one, and the number of different values."""
        top = nlargest(n_top, self._counts.items(), key=lambda item: (item[1], item[0]))
        return {"top": top, "n_events": self.n_events, "n_values": len(self._counts)}


SMALLEST_MERGE = 65_536
"""Fewer new hashes are not merged into the large array."""


class Distinct:
    """An exact count of different 64-bit hashes, at 8 bytes each: 80 MB for 10 million listeners.

    New hashes are merged into a small sorted array, and that into a large one when it has grown to an eighth of it; so
    each hash is moved about ten times in all.
    """

    def __init__(self) -> None:
        self._large = np.empty(0, np.uint64)
        self._small = np.empty(0, np.uint64)

    def __len__(self) -> int:
        return len(self._large) + len(self._small)

    def add(self, hashes: UInt64s) -> None:
        """Add hashes (uint64, in any order, repeats allowed)."""
        new = np.unique(hashes)
        new = new[~_are_in(new, self._large)]
        new = new[~_are_in(new, self._small)]
        if len(new):
            self._small = _merged(self._small, new)
        if len(self._small) > max(SMALLEST_MERGE, len(self._large) // 8):
            self._large, self._small = _merged(self._large, self._small), self._small[:0]


def _are_in(wanted: UInt64s, ascending: UInt64s) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    """Whether each wanted hash is in the ascending ones: bool, one per wanted hash."""
    if len(ascending) == 0:
        return np.zeros(len(wanted), np.bool_)
    positions = np.minimum(np.searchsorted(ascending, wanted), len(ascending) - 1)
    found: np.ndarray[tuple[int], np.dtype[np.bool_]] = ascending[positions] == wanted
    return found


def _merged(one: UInt64s, other: UInt64s) -> UInt64s:
    """The union of two disjoint ascending arrays, ascending."""
    return np.insert(one, np.searchsorted(one, other), other)


N_NEWEST = 50
MOST_SHOWN_LETTERS = 200
SHOWN = (
    "ts_ms",
    "listener",
    "name",
    "session",
    "item",
    "action",
    "artist",
    "title",
    "genre",
    "platform",
    "device",
    "country",
    "level",
)
EXACT = ("listener", "session")
"""Numbers that may exceed what JavaScript holds exactly; they are sent as text."""


class Newest:
    """The N_NEWEST events of the latest times; of equal times, those that arrived later."""

    def __init__(self) -> None:
        self._events: list[dict[str, Any]] = []
        self._n_seen = 0

    def add(self, rows: pa.Table) -> None:
        """Take the newest of these rows; at most N_NEWEST of them become Python objects."""
        times_ms = rows["ts_ms"].to_numpy()
        positions = np.argsort(times_ms, kind="stable")[-N_NEWEST:]
        if len(self._events) == N_NEWEST:
            positions = positions[times_ms[positions] >= self._events[-1]["ts_ms"]]
        if len(positions) == 0:
            return
        found = rows.select(SHOWN).take(pa.array(positions)).to_pylist()
        for event in found:
            self._n_seen += 1
            self._events.append({"id": self._n_seen, **{name: _shown(name, event[name]) for name in SHOWN}})
        self._events.sort(key=lambda event: (event["ts_ms"], event["id"]), reverse=True)
        del self._events[N_NEWEST:]

    def figures(self) -> list[dict[str, Any]]:
        """The newest first; `id` is unique."""
        return list(self._events)


def _shown(name: str, value: Any) -> Any:
    if name in EXACT and value is not None:
        return str(value)
    return value[:MOST_SHOWN_LETTERS] if isinstance(value, str) else value


N_BUCKETS = 60
WIDTHS_S = (1, 5, 15, 60, 300, 900, 3600, 21_600, 86_400)
"""Widths of buckets: N_BUCKETS of them span from a minute to two months."""
COVERED = 0.99
"""The chosen buckets hold at least this share of the events, so that a few stray times do not widen them."""
NO_BUCKET = -1


@dataclass(slots=True)
class Buckets:
    """The last N_BUCKETS buckets of one width.

    Exact in any order: an event that lies before them when it arrives would also do so later.

    Attributes:
        newest: the newest event's bucket, numbered since 1970.
        counts: int64[N_BUCKETS], events; the last is that of `newest`.
    """

    width_s: int
    newest: int = NO_BUCKET
    counts: Int64s = field(default_factory=lambda: np.zeros(N_BUCKETS, np.int64))

    def add(self, seconds: Int64s) -> None:
        """Count events (int64, seconds since 1970, at least one)."""
        buckets = seconds // self.width_s
        self._move_to(int(buckets.max()))
        positions = buckets - (self.newest - N_BUCKETS + 1)
        self.counts += np.bincount(positions[positions >= 0], minlength=N_BUCKETS)

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
    """Events over time.

    Attributes:
        first_ms: the start of the first bucket that has an event, milliseconds since 1970; None without events.
        counts: events of each bucket; the last, of the newest event, may still grow.
        n_before: events before the first bucket.
    """

    first_ms: int | None
    bucket_s: int
    counts: list[int]
    n_before: int


class TimeBuckets:
    """Events by their own time, in buckets of every width.

    The timeline ends with the newest event, not now, because simulated or backfilled events have another clock.
    """

    def __init__(self) -> None:
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
        """The narrowest buckets that hold nearly all events, or the widest ones."""
        if self._n_events == 0:
            return Timeline(None, WIDTHS_S[0], [], 0)
        enough = COVERED * self._n_events
        level = next((one for one in self._levels if one.counts.sum() >= enough), self._levels[-1])
        first = int(np.flatnonzero(level.counts)[0])
        first_ms = (level.newest - N_BUCKETS + 1 + first) * level.width_s * 1000
        return Timeline(
            first_ms, level.width_s, level.counts[first:].tolist(), self._n_events - int(level.counts.sum())
        )


WINDOW_S = 60
AHEAD_S = 1.0
"""The clocks of machines differ by less; events further ahead do not use the wall clock."""
BEHIND_S = 120.0
"""If the median age is larger when events are read, they may not use the wall clock."""


class LatencyPercentiles(NamedTuple):
    """Latencies of the events that were read in the last minute.

    Attributes:
        is_plausible: whether the events' times look like those of the wall clock.
    """

    n_events: int
    p50_ms: float
    p99_ms: float
    is_plausible: bool


class _SecondOfAges(NamedTuple):
    number: int
    ages: Sparse
    least_s: float


class Latency:
    """Ages of events when they are read, over the last minute, in one histogram per second.

    An age is counted from the event's own time. That is a latency if it is the wall-clock time at which the event was
    due; then an overloaded producer is not hidden.
    """

    def __init__(self) -> None:
        self._seconds: deque[_SecondOfAges] = deque()

    def add(self, times_ms: Int64s, now_s: float) -> None:
        """Record events that were read now; `times_ms`: int64, the events' own times, milliseconds since 1970."""
        if len(times_ms) == 0:
            return
        ages_s = now_s - times_ms / 1000
        ages, least_s = Histogram(), float(ages_s.min())
        ages.record(np.asarray(ages_s, np.float64))
        if self._seconds and self._seconds[-1].number == int(now_s):
            last = self._seconds.pop()
            ages.merge(last.ages.full())
            least_s = min(least_s, last.least_s)
        self._seconds.append(_SecondOfAges(int(now_s), Sparse.of(ages), least_s))
        self._expire(now_s)

    def percentiles(self, now_s: float) -> LatencyPercentiles | None:
        """The percentiles of the last minute; None if nothing was read in it."""
        self._expire(now_s)
        if not self._seconds:
            return None
        ages = merged(second.ages.full() for second in self._seconds)
        p50_s, p99_s = ages.quantile_s(0.5), ages.quantile_s(0.99)
        is_plausible = min(second.least_s for second in self._seconds) >= -AHEAD_S and p50_s <= BEHIND_S
        return LatencyPercentiles(len(ages), round(p50_s * 1000, 1), round(p99_s * 1000, 1), is_plausible)

    def _expire(self, now_s: float) -> None:
        while self._seconds and self._seconds[0].number <= int(now_s) - WINDOW_S:
            self._seconds.popleft()


GROUPS = {
    "genres": ("genre", 10),
    "platforms": ("platform", 10),
    "actions": ("action", 10),
    "countries": ("country", 12),
}
"""Panel → column, number of values shown."""
N_TOP_PLAYED = 10
PLAYS = pa.array(STARTS)
"""The actions that start a track."""


class Aggregates:
    """The metrics of all events so far; `n_unreadable`: records that are not events."""

    def __init__(self) -> None:
        self.n_events = 0
        self.n_unreadable = 0
        self._listeners, self._artists, self._tracks = Distinct(), Distinct(), Distinct()
        self._groups = {panel: Groups() for panel in GROUPS}
        self._played = {"top_artists": Groups(), "top_tracks": Groups()}
        self._buckets, self._newest = TimeBuckets(), Newest()
        self._durations = PlayDurations()

    def add(self, piece: EventPiece) -> None:
        """Count the events of a piece."""
        self.n_unreadable += piece.n_unreadable
        rows = piece.rows
        if rows.num_rows == 0:
            return
        self.n_events += rows.num_rows
        self._listeners.add(piece.listeners)
        self._artists.add(piece.artists)
        self._tracks.add(piece.tracks)
        for panel, (column, _) in GROUPS.items():
            self._groups[panel].add(rows[column])
        plays = rows.filter(pc.is_in(rows["action"], value_set=PLAYS))
        self._played["top_artists"].add(plays["artist"])
        # a track without title or artist is not counted
        self._played["top_tracks"].add(pc.binary_join_element_wise(plays["title"], plays["artist"], " · "))
        self._buckets.add(rows["ts_ms"].to_numpy())
        self._newest.add(rows)
        self._durations.add(rows)

    def figures(self) -> dict[str, Any]:
        """All metrics, as JSON types, at a cost that does not depend on the number of events."""
        newest = self._newest.figures()
        return {
            "totals": {
                "events": self.n_events,
                "listeners": len(self._listeners),
                "artists": len(self._artists),
                "tracks": len(self._tracks),
                "unreadable": self.n_unreadable,
            },
            "newest_ms": newest[0]["ts_ms"] if newest else None,
            "last_minute": self._buckets.last_minute(),
            "timeline": asdict(self._buckets.timeline()),
            "groups": {panel: self._groups[panel].figures(n_top) for panel, (_, n_top) in GROUPS.items()},
            "played": {panel: groups.figures(N_TOP_PLAYED) for panel, groups in self._played.items()},
            "durations": self._durations.figures(),
            "newest": newest,
        }
