"""The run over time: what happened in each window of a second, merged over the workers.

In: the totals, a few times a second. Out: windows, one after another without a gap. There are never more than MOST of
them: when they become too many, each two neighbours are merged into one, so a long run has longer windows. Observers,
such as thresholds, get each window of a second as it ends.

The last S seconds of a run as one window, second after second.

In: windows of about a second. Out: a window that spans the newest of them. What leaves at the old end is subtracted, so
a second costs the same however long S is.
"""

import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from loadgen.config.thresholds import GAUGES
from loadgen.histogram import Histogram, Sparse
from loadgen.ledger import Outcome
from loadgen.record import HistogramRecord, MeasuredRecord, Percentiles, WindowRecord, finite
from loadgen.runner import crowds as crowd_figures
from loadgen.runner.crowds import Crowds, CrowdState, CrowdWindow
from loadgen.runner.totals import Totals

if TYPE_CHECKING:
    from loadgen.kafka.group_lag import GroupLag

WINDOW_S = 1.0
EARLY_S = 0.25
"""Workers report twice a second: a window that would be so little too short is taken as it is."""
MOST = 1200
LATENCIES = ("schedule_lag", "ack", "intended_to_ack", "end_to_end")
GROUP_GAUGES = ("lag", "behind_s")


@dataclass(frozen=True, slots=True)
class Window:
    """What happened between two moments, of the primary sink where sinks differ.

    Attributes:
        start_s, end_s: seconds after the schedule's zero.
        offered_s: for how long of it events were offered; less than its length once they are only waited for.
        scheduled: events that the schedule asked for; nan without a schedule.
        planned, delivered, failed, dropped, unfinished, aborted: events that were offered, and that ended this way, in
            it.
        n_bytes: value bytes delivered.
        cpu_s: CPU time of all workers.
        in_flight, active: events without a report, and listeners in a session, at its end.
        schedule_lag, ack, intended_to_ack, end_to_end: durations of the events that were sent, reported, or seen at
            the far end, in it.
        lag, behind_s: of each consumer group that is watched, in messages and in seconds, at its end.
        catch_up_s: how long the slowest of them took to catch up after the load; inf where it has not; nan where that
            was not waited for.
        lost, repeated, late: events at the far end, of the whole run; nan where that is not known, and in all parts.
        crowds: the same of each crowd of listeners, by its name.
    """

    start_s: float
    end_s: float
    offered_s: float
    scheduled: float
    planned: int
    delivered: int
    failed: int
    dropped: int
    unfinished: int
    n_bytes: int
    cpu_s: float
    in_flight: int
    active: int
    schedule_lag: Sparse
    ack: Sparse
    intended_to_ack: Sparse
    lag: Mapping[str, float] = field(default_factory=dict)
    behind_s: Mapping[str, float] = field(default_factory=dict)
    catch_up_s: float = math.nan
    lost: float = math.nan
    repeated: float = math.nan
    late: float = math.nan
    end_to_end: Sparse = field(default_factory=lambda: Sparse.of(Histogram()))
    crowds: Mapping[str, CrowdWindow] = field(default_factory=dict)
    aborted: int = 0

    @property
    def length_s(self) -> float:
        """Seconds."""
        return self.end_s - self.start_s

    def record(self) -> WindowRecord:
        """Counts as they are, durations as percentiles; rounded to ms, and a millisecond long at least."""
        values = self._values()
        return WindowRecord(**values | {"end_s": max(values["end_s"], round(values["start_s"] + 0.001, 3))})

    def measured(self) -> MeasuredRecord:
        """The same with its histograms; it may have no length."""
        histograms: dict[str, Any] = {name: HistogramRecord.of(getattr(self, name)) for name in LATENCIES}
        return MeasuredRecord(**self._values(), **histograms)

    def _values(self) -> dict[str, Any]:
        kept = {name: getattr(self, name) for name in self.__slots__ if name not in (*LATENCIES, "crowds")}
        times = {name: round(getattr(self, name), 3) for name in ("start_s", "end_s", "offered_s", "cpu_s")}
        summaries = {f"{name}_ms": Percentiles(**getattr(self, name).summary_ms()) for name in LATENCIES}
        groups = {
            "lag": {name: round(value) for name, value in self.lag.items()},
            "behind_s": {name: round(value, 3) for name, value in self.behind_s.items()},
        }
        not_always = {"scheduled": finite(self.scheduled), "catch_up_s": finite(self.catch_up_s)}
        crowds = {"crowds": {name: one.record() for name, one in self.crowds.items()}} if self.crowds else {}
        return {**kept, **times, **not_always, **groups, **summaries, **crowds}


def merged(parts: Sequence[Window]) -> Window:
    """One window that spans these neighbours (at least one), oldest first."""
    first, last = parts[0], parts[-1]
    if len(parts) == 1:
        return first
    summed: dict[str, Any] = {name: sum(getattr(part, name) for part in parts) for name in _ADDED}
    for name in LATENCIES:
        total = Histogram()
        for part in parts:
            total.merge(getattr(part, name).full())
        summed[name] = Sparse.of(total)
    summed |= {name: getattr(last, name) for name in (*GAUGES, *GROUP_GAUGES)}
    crowds = crowd_figures.merged(part.crowds for part in parts)
    return Window(first.start_s, last.end_s, **summed, crowds=crowds)


_ENDED = ("delivered", "failed", "dropped", "unfinished", "aborted")
_ADDED = ("offered_s", "scheduled", "planned", *_ENDED, "n_bytes", "cpu_s")


@dataclass(slots=True)
class _State:
    """The totals at one moment."""

    at_s: float = 0.0
    offered_s: float = 0.0
    scheduled: float = 0.0
    cpu_s: float = 0.0
    n_bytes: int = 0
    planned: int = 0
    in_flight: int = 0
    active: int = 0
    by_outcome: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(Outcome), np.int64))
    schedule_lag: Histogram = field(default_factory=Histogram)
    ack: Histogram = field(default_factory=Histogram)
    intended_to_ack: Histogram = field(default_factory=Histogram)
    end_to_end: Histogram | None = None
    crowds: CrowdState | None = None

    @classmethod
    def of(cls, totals: Totals, t0_ns: int, crowds: Crowds | None) -> "_State":
        tally, far_end = totals.primary_sink, totals.far_end
        at_s, offered_s = totals.moments.at_s(t0_ns), totals.moments.offered_s(t0_ns)
        return cls(
            at_s=at_s,
            offered_s=offered_s,
            scheduled=totals.scheduled,
            cpu_s=totals.cpu_s,
            n_bytes=tally.bytes_delivered,
            planned=tally.planned,
            in_flight=tally.in_flight,
            active=totals.active,
            by_outcome=tally.by_page.sum(axis=1),
            schedule_lag=totals.schedule_lag_s.copy(),
            ack=tally.ack_s.copy(),
            intended_to_ack=tally.intended_to_ack_s.copy(),
            end_to_end=None if far_end is None else far_end.latency_s,  # each report has its own
            crowds=None if crowds is None else crowds.state(tally.crowds, at_s, offered_s),
        )

    def until(self, later: "_State") -> Window:
        """What happened from here to there."""
        ended = np.maximum(later.by_outcome - self.by_outcome, 0).tolist()
        return Window(
            start_s=self.at_s,
            end_s=later.at_s,
            offered_s=max(0.0, later.offered_s - self.offered_s),
            scheduled=later.scheduled - self.scheduled,
            planned=max(0, later.planned - self.planned),  # fewer where a worker died with events in flight
            delivered=ended[Outcome.DELIVERED],
            failed=ended[Outcome.FAILED],
            dropped=ended[Outcome.DROPPED],
            unfinished=ended[Outcome.UNFINISHED],
            aborted=ended[Outcome.ABORTED],
            n_bytes=later.n_bytes - self.n_bytes,
            cpu_s=later.cpu_s - self.cpu_s,
            in_flight=later.in_flight,
            active=later.active,
            schedule_lag=Sparse.of(later.schedule_lag.since(self.schedule_lag)),
            ack=Sparse.of(later.ack.since(self.ack)),
            intended_to_ack=Sparse.of(later.intended_to_ack.since(self.intended_to_ack)),
            end_to_end=Sparse.of((later.end_to_end or Histogram()).since(self._seen_until(later))),
            crowds=self.crowds.until(later.crowds) if self.crowds and later.crowds else {},
        )

    def _seen_until(self, later: "_State") -> Histogram:
        """What is left out of the later state; a reader that failed says nothing any more."""
        return Histogram() if later.end_to_end is None or self.end_to_end is None else self.end_to_end


class History:
    """Keeps the windows of a run.

    Attributes:
        windows: oldest first.
        warm_up_s: what happened before is in no figure of the run as a whole.
    """

    def __init__(
        self,
        warm_up_s: float = 0.0,
        observers: Iterable[Callable[[Window], None]] = (),
        groups: "Callable[[], Mapping[str, GroupLag]]" = dict,
        crowds: Crowds | None = None,
    ) -> None:
        """Begin; the observers get every window of about a second when it ends; `groups` are those of that moment."""
        self._groups, self._crowds = groups, crowds
        self.windows: list[Window] = []
        self.warm_up_s = warm_up_s
        self._observers = list(observers)
        self._last = self._base = _State(crowds=None if crowds is None else crowds.state())
        self._width_s = WINDOW_S
        self._open: list[Window] = []

    def watch(self, totals: Totals, t0_ns: int) -> None:
        """Take the latest totals; where a second has passed, a window ends with them."""
        gone_s = totals.moments.at_s(t0_ns) - self._last.at_s
        is_together = totals.moments.spread_s < EARLY_S  # else the others report in a moment
        if gone_s >= (WINDOW_S - EARLY_S if is_together else WINDOW_S):
            self._add(_State.of(totals, t0_ns, self._crowds))

    def end(self, totals: Totals, t0_ns: int) -> None:
        """Take the last totals of the run."""
        if totals.moments.at_s(t0_ns) > self._last.at_s:
            self._add(_State.of(totals, t0_ns, self._crowds))
        if not self._open:
            return
        if self.windows and self._last.at_s - self._open[0].start_s < EARLY_S:
            self._open.insert(0, self.windows.pop())
        self._close()

    def wait(self, totals: Totals, at_s: float) -> None:
        """Add a window that ends at this second of the run: events are only waited for."""
        offered_s, tally, base = self._last.offered_s, totals.primary_sink, self._base
        crowds = None if self._crowds is None else self._crowds.state(tally.crowds, at_s, offered_s)
        self._add(replace(_State.of(totals, 0, None), at_s=at_s, offered_s=offered_s, crowds=crowds))
        self._base = base  # a warm-up ends while events are offered, or never
        if self._open:
            self._close()

    def measured(self, totals: Totals, t0_ns: int) -> Window:
        """All that happened between the warm-up and these totals; of no length where the warm-up goes on."""
        now = _State.of(totals, t0_ns, self._crowds)
        return (now if self._base.at_s < self.warm_up_s else self._base).until(now)

    def _add(self, now: _State) -> None:
        groups = self._groups()
        lag = {name: group.messages for name, group in groups.items()}
        behind_s = {name: group.seconds for name, group in groups.items()}
        window, self._last = replace(self._last.until(now), lag=lag, behind_s=behind_s), now
        if self._base.at_s < self.warm_up_s:
            self._base = now
        for observe in self._observers:
            observe(window)
        self._open.append(window)
        if now.at_s - self._open[0].start_s >= self._width_s - EARLY_S:
            self._close()

    def _close(self) -> None:
        """End the window that is open; where there are too many, each two become one."""
        self.windows.append(merged(self._open))
        self._open = []
        if len(self.windows) >= MOST:
            self.windows = [merged(self.windows[at : at + 2]) for at in range(0, len(self.windows), 2)]
            self._width_s *= 2


_NOT_SUMMED = (*LATENCIES, *GROUP_GAUGES, "catch_up_s", "lost", "repeated", "late", "start_s", "end_s", "crowds")
_SUMMED = tuple(field.name for field in fields(Window) if field.name not in _NOT_SUMMED)


class Rolling:
    """Sums the newest windows."""

    def __init__(self, length_s: float) -> None:
        """Begin; the windows span at least this many seconds, EARLY_S less at times."""
        self._length_s = length_s - EARLY_S
        self._parts: deque[Window] = deque()
        self._sums: dict[str, float] = dict.fromkeys(_SUMMED, 0)
        self._latencies = {name: Histogram() for name in LATENCIES}
        self._crowds = crowd_figures.CrowdSums()

    def add(self, window: Window) -> Window | None:
        """Take the next window; the newest S seconds as one, or None while they span less.

        In it, in_flight, active, lag and behind_s are the means over the ends of its parts."""
        self._parts.append(window)
        self._count(window, 1)
        while self._parts[-1].end_s - self._parts[0].end_s >= self._length_s:
            self._count(self._parts.popleft(), -1)
        return self._whole() if window.end_s - self._parts[0].start_s >= self._length_s else None

    def _count(self, window: Window, sign: int) -> None:
        self._crowds.count(window.crowds, sign)
        for name in _SUMMED:
            self._sums[name] += sign * getattr(window, name)
        for name, total in self._latencies.items():
            part: Sparse = getattr(window, name)
            total.counts[part.buckets] += sign * part.counts
            total.sum_s += sign * part.sum_s

    def _whole(self) -> Window:
        for name, total in self._latencies.items():
            total.max_s = max(getattr(part, name).max_s for part in self._parts)
        values: dict[str, Any] = dict(self._sums)
        values |= {name: round(self._sums[name] / len(self._parts)) for name in GAUGES}
        values |= {name: Sparse.of(total) for name, total in self._latencies.items()}
        values |= {name: _means([getattr(part, name) for part in self._parts]) for name in GROUP_GAUGES}
        crowds = self._crowds.whole([part.crowds for part in self._parts])
        return Window(start_s=self._parts[0].start_s, end_s=self._parts[-1].end_s, **values, crowds=crowds)


def _means(values: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Of each name that all of them have."""
    names = set(values[0]).intersection(*values[1:])
    return {name: sum(value[name] for value in values) / len(values) for name in sorted(names)}
