"""The last S seconds of a run as one window, second after second.

In: windows of about a second. Out: a window that spans the newest of them. What leaves at the old end is subtracted, so
a second costs the same however long S is.
"""

from collections import deque
from dataclasses import fields
from typing import Any

from loadgen.config.threshold import GAUGES
from loadgen.histogram import Histogram, Sparse
from loadgen.run.judge.history import EARLY_S, LATENCIES, Window

_SUMMED = tuple(field.name for field in fields(Window) if field.name not in (*LATENCIES, "start_s", "end_s"))


class Rolling:
    """Sums the newest windows."""

    def __init__(self, length_s: float) -> None:
        """Begin; the windows span at least this many seconds, EARLY_S less at times."""
        self._length_s = length_s - EARLY_S
        self._parts: deque[Window] = deque()
        self._sums: dict[str, float] = dict.fromkeys(_SUMMED, 0)
        self._latencies = {name: Histogram() for name in LATENCIES}

    def add(self, window: Window) -> Window | None:
        """Take the next window; the newest S seconds as one, or None while there are not so many.

        In it, in_flight and active are the means over the ends of its parts."""
        self._parts.append(window)
        self._count(window, 1)
        while self._parts[-1].end_s - self._parts[0].end_s >= self._length_s:
            self._count(self._parts.popleft(), -1)
        return self._whole() if window.end_s - self._parts[0].start_s >= self._length_s else None

    def _count(self, window: Window, sign: int) -> None:
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
        return Window(start_s=self._parts[0].start_s, end_s=self._parts[-1].end_s, **values)
