"""Holds a run against its thresholds while it goes on, and when it is over.

In: the windows of the run, a second each, merged over the workers, and at the end the whole. Out: for each threshold
whether it was kept, its value, the worst one and when. What a threshold says: config/threshold.py.

    over S              the last S seconds, every second; broken by the first window that breaks it; the rate of a
                        crowd only where it was on in all of them
    in_flight, active   every second; so are lag and behind, of consumer groups
    lost, repeated, late, catch_up   once the load is over, and what it caused was waited for
    otherwise           the whole run after its warm-up, at the end; an upper limit of what only grows every second too
"""

import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from loadgen.config.thresholds import GAUGES, OF_GROUPS, Figure, Threshold
from loadgen.histogram import Sparse
from loadgen.record import ThresholdRecord, finite
from loadgen.runner.crowds import CrowdWindow
from loadgen.runner.history import Rolling, Window

WHILE_OFFERED = (*GAUGES, *OF_GROUPS, "rate", "target", "planned", "delivered")
"""Figures that say nothing of the time after the last event was due, when those in flight are waited for."""
TAIL_S = 0.1
"""So much of that time may be in a window that is judged all the same."""
_HOLDS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
_UNITS = {"time": "ms", "rate": "/s", "count": ""}


@dataclass(frozen=True, slots=True)
class ThresholdResult:
    """What became of a threshold. Times of the run are seconds after the schedule's zero; nan is "no data".

    Attributes:
        threshold: what was asked for.
        passed: whether it was kept.
        value, limit: the figure and what it is held against: where it broke, or else where it was judged last.
        worst: the value that was furthest on the wrong side, or nearest to it.
        at_s, worst_at_s: when it broke, nan where it did not; and when it was worst.
        span_s: how long the part of the run is that was judged, where it is shorter than asked for; else 0.
    """

    threshold: Threshold
    passed: bool
    value: float
    limit: float
    worst: float
    at_s: float
    worst_at_s: float
    span_s: float = 0.0

    def record(self) -> ThresholdRecord:
        """Times in ms, rates per second; None where there is no data."""
        factor = 1e3 if self.threshold.figure.kind == "time" else 1.0
        return ThresholdRecord(
            expr=str(self.threshold),
            passed=self.passed,
            value=finite(self.value * factor),
            limit=finite(self.limit * factor),
            worst=finite(self.worst * factor),
            unit=_UNITS[self.threshold.figure.kind],
            at_s=finite(self.at_s),
            worst_at_s=finite(self.worst_at_s),
        )

    def sentence(self) -> str:
        """What a person is told, without the mark in front."""
        figure = self.threshold.figure
        if math.isnan(self.value):
            reason = "nothing came, or not all was waited for" if figure.of_far_end else "the run ended in its warm-up"
            return f"{self.threshold}: no data" + ("" if self.passed else f", {reason}")
        value, worst = shown(self.value, figure), shown(self.worst, figure)
        against = f", against {shown(self.limit, figure)}" if self.threshold.reference else ""
        span = f" over the {self.span_s:.1f} s that there were" if self.span_s else ""
        if self.passed:
            at_worst = "" if worst == value else f", at worst {worst} at {self.worst_at_s:.1f} s"
            return f"{self.threshold}: {value}{against}{span}{at_worst}"
        at_worst = "" if self.worst_at_s == self.at_s else f", at worst {worst} at {self.worst_at_s:.1f} s"
        return f"{self.threshold} is broken: {value}{against}{span} at {self.at_s:.1f} s{at_worst}"


def shown(value: float, figure: Figure) -> str:
    """A value with its unit: 12.3 ms, 5,700.1/s, 3."""
    if value == math.inf:
        return "not in the time that was given"
    if figure.kind == "time":
        return f"{value * 1e3:,.1f} ms"
    return f"{value:,.1f}/s" if figure.kind == "rate" else f"{value:,.0f}"


def value_of(figure: Figure, window: Window) -> float:
    """What a figure is in a window: seconds, events per second or a number; nan where there is no data."""
    counted = window.crowds.get(figure.crowd) if figure.crowd else window
    if counted is None:
        return math.nan
    if figure.of:
        return _latency_s(figure, getattr(counted, figure.of))
    if figure.name == "rate":
        length_s = counted.on_s if isinstance(counted, CrowdWindow) else counted.length_s
        return counted.delivered / length_s if length_s > 0 else math.nan
    if figure.name == "target":
        offered_s = counted.asked_s if isinstance(counted, CrowdWindow) else counted.offered_s
        return counted.scheduled / offered_s if offered_s > 0 else math.nan
    if figure.group:
        return float((window.lag if figure.name == "lag" else window.behind_s).get(figure.group, math.nan))
    return window.catch_up_s if figure.name == "catch_up" else float(getattr(counted, figure.name))


def _latency_s(figure: Figure, recorded: Sparse) -> float:
    if figure.name == "max" and len(recorded):
        return recorded.max_s
    if figure.name == "mean" and len(recorded):
        return recorded.sum_s / len(recorded)
    return recorded.quantile_s(figure.quantile)


class ThresholdEvaluation:
    """One threshold in the evaluation of a run."""

    def __init__(self, threshold: Threshold) -> None:
        """Not judged yet."""
        self.threshold = threshold
        self._latest: tuple[float, float, float] | None = None  # value, limit, when
        self._broken: tuple[float, float, float] | None = None
        self._worst: tuple[float, float, float] | None = None  # how far on the wrong side, value, when
        self._so_far = 0.0

    @property
    def is_broken(self) -> bool:
        """Whether something has broken it so far."""
        return self._broken is not None

    def grow(self, window: Window) -> bool:
        """Add a window to the run so far; True where that broke it now, and no more events can mend it."""
        value = value_of(self.threshold.figure, window)
        if math.isnan(value):
            return False
        self._so_far = max(self._so_far, value) if self.threshold.figure.of else self._so_far + value
        limit, op = self.threshold.factor, self.threshold.op
        if _HOLDS["<=" if op == "==" else op](self._so_far, limit):  # one that must be N is not broken before
            return False
        return self._hold(self._so_far, limit, window.end_s)

    def judge(self, window: Window) -> bool:
        """Hold a window against it; True where it broke now."""
        value, limit = value_of(self.threshold.figure, window), self.threshold.factor
        if self.threshold.reference:
            limit *= value_of(self.threshold.reference, window)
        return not math.isnan(value - limit) and self._hold(value, limit, window.end_s)

    def _hold(self, value: float, limit: float, at_s: float) -> bool:
        self._latest = (value, limit, at_s)
        wrong = _wrong(self.threshold.op, value, limit)
        if self._worst is None or wrong > self._worst[0]:
            self._worst = (wrong, value, at_s)
        is_first = self._broken is None and not _HOLDS[self.threshold.op](value, limit)
        if is_first:
            self._broken = self._latest
        return is_first

    def so_far(self, whole: Window) -> ThresholdResult:
        """What became of it, if the run ended now; `whole` is all of it after the warm-up."""
        final = ThresholdEvaluation(self.threshold)
        final._latest, final._broken, final._worst = self._latest, self._broken, self._worst
        is_rolling, span_s = self.threshold.window_s is not None, 0.0
        ended_in_warm_up = whole.length_s <= 0 < whole.start_s
        if whole.length_s > 0 and not (is_rolling and self._latest):
            final.judge(whole)
            span_s = whole.length_s if is_rolling else 0.0
        return final._judged(not ended_in_warm_up, span_s)

    def _judged(self, is_measured: bool, span_s: float) -> ThresholdResult:
        value, limit, at_s = self._broken or self._latest or (math.nan, math.nan, math.nan)
        _, worst, worst_at_s = self._worst or (math.nan, math.nan, math.nan)
        # a system that gives nothing out keeps no promise
        is_judged = not (math.isnan(value) and any(one.of_far_end for one in self.threshold.figures))
        is_kept = is_measured and is_judged and self._broken is None
        broken_s = at_s if self._broken else math.nan
        return ThresholdResult(self.threshold, is_kept, value, limit, worst, broken_s, worst_at_s, span_s)


class Thresholds:
    """All thresholds of a run."""

    def __init__(self, asked: Sequence[Threshold], warm_up_s: float, stop: Callable[[], None]) -> None:
        """Begin; `stop` ends the run, once one that says so is broken."""
        self._evaluations = [ThresholdEvaluation(threshold) for threshold in asked]
        lengths_s = {threshold.window_s for threshold in asked if threshold.window_s is not None}
        self._rolling = {length_s: Rolling(length_s) for length_s in lengths_s}
        self._warm_up_s, self._stop = warm_up_s, stop

    def watch(self, window: Window) -> None:
        """Take the next window of about a second."""
        if window.start_s < self._warm_up_s:
            return
        spans = {length_s: rolling.add(window) for length_s, rolling in self._rolling.items()}
        broken = [evaluation for evaluation in self._evaluations if self._breaks(evaluation, window, spans)]
        if any(evaluation.threshold.abort for evaluation in broken):
            self._stop()

    def broken(self) -> dict[str, bool]:
        """Each threshold as it was written, and whether it is broken by now."""
        return {str(evaluation.threshold): evaluation.is_broken for evaluation in self._evaluations}

    def judged(self, whole: Window) -> list[ThresholdResult]:
        """What became of each, if the run ended now; `whole` is all of it after the warm-up."""
        return [evaluation.so_far(whole) for evaluation in self._evaluations]

    def _breaks(self, evaluation: ThresholdEvaluation, window: Window, spans: dict[float, Window | None]) -> bool:
        threshold = evaluation.threshold
        if threshold.window_s is None:
            return threshold.stays_broken and evaluation.grow(window)
        span = spans[threshold.window_s]
        if span is None or (threshold.figure.name in WHILE_OFFERED and span.length_s - span.offered_s > TAIL_S):
            return False
        if any(_is_off(figure, span) for figure in threshold.figures):
            return False
        return evaluation.judge(span)


def _is_off(figure: Figure, span: Window) -> bool:
    """Whether a figure is the rate of a crowd that was not on in all of a span."""
    crowd = span.crowds.get(figure.crowd) if figure.name in ("rate", "target") else None
    return crowd is not None and span.length_s - crowd.on_s > TAIL_S


def _wrong(op: str, value: float, limit: float) -> float:
    """How far a value is on the wrong side of its limit; negative on the right one."""
    if op in ("<", "<="):
        return value - limit
    if op in (">", ">="):
        return limit - value
    return abs(value - limit) if op == "==" else -abs(value - limit)
