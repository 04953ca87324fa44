"""Windows and verdicts of runs that never were, for tests."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from loadgen.histogram import Histogram, Sparse
from loadgen.runner.history import LATENCIES, History, Window
from loadgen.runner.totals import Totals
from loadgen.runner.verdict import Verdict, judge


def recorded(values_s: Iterable[float]) -> Sparse:
    """A histogram of these durations."""
    histogram = Histogram()
    histogram.record(np.array(list(values_s), np.float64))
    return Sparse.of(histogram)


def window(start_s: float = 0.0, end_s: float = 1.0, **values: Any) -> Window:
    """A window in which nothing happened but this; durations are lists of seconds."""
    counts = ("planned", "delivered", "failed", "dropped", "unfinished", "n_bytes", "in_flight", "active")
    given: dict[str, Any] = {"offered_s": end_s - start_s, "scheduled": 0.0, "cpu_s": 0.0, **dict.fromkeys(counts, 0)}
    given |= {name: recorded(values.pop(name, [])) for name in LATENCIES}
    return Window(start_s, end_s, **(given | values))


def verdict_of(
    totals: Totals, elapsed_s: float, target_per_s: float | None = None, reason: str = "events", **more: Any
) -> Verdict:
    """The verdict on a run of one worker with these totals; its schedule asked for events all the time."""
    totals.moments.taken_ns = totals.moments.scheduled_ns = [int(elapsed_s * 1e9)]
    totals.scheduled = float("nan") if target_per_s is None else target_per_s * elapsed_s
    return judge(totals, History().measured(totals, 0), elapsed_s, reason, paced=target_per_s is not None, **more)
