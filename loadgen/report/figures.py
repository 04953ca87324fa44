"""The figures by which runs are told apart: what each is called, where it is, in which direction it is better.

In: one run, or two. Out: values, and of two runs their difference and what it means.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from loadgen.ledger import cost_us
from loadgen.record import Percentiles, RunRecord
from loadgen.report import text

Better = Literal["more", "less", "neither"]
Judgement = Literal["better", "worse", "alike", "equal", "different", "unknown"]
LATENCIES = {
    "intended_to_ack": "Intended to ack",
    "ack": "Send to ack",
    "schedule_lag": "Schedule lag",
    "end_to_end": "End to end",
}
MEANINGS = {
    "intended_to_ack": "from the moment the schedule asked for an event to its delivery report: no stall hides in it",
    "ack": "from the send to the delivery report: the broker, or the disk",
    "schedule_lag": "from the moment the schedule asked for an event to its send: the generator",
    "end_to_end": "from the moment the schedule asked for an event to its arrival behind the system under test",
}
TOLERANCE = 0.05
"""A smaller change of a measurement is noise: two runs of the same settings differ by as much."""
ALIKE = 0.0005
"""A smaller change is 0.0 % where it is shown."""
PERCENTILES = {"p50": "p50", "p90": "p90", "p99": "p99", "p999": "p99.9", "max": "max"}


@dataclass(frozen=True, slots=True)
class ReportFigure:
    """A figure of a run.

    Attributes:
        of: its value; None where the run does not say it.
        is_exact: whether it counts what went wrong, so that no change is noise.
        is_rare: whether it is not worth mentioning when it is zero.
    """

    key: str
    label: str
    of: Callable[[RunRecord], float | None]
    shown: Callable[[float | None], str]
    better: Better = "neither"
    is_rare: bool = False
    is_exact: bool = False


@dataclass(frozen=True, slots=True)
class Difference:
    """A figure of two runs."""

    figure: ReportFigure
    a: float | None
    b: float | None

    @property
    def change(self) -> float | None:
        """By which share of a's value b's is higher; None where there is no such share."""
        if self.a is None or self.b is None or (self.a == 0 and self.b != 0):
            return None
        return (self.b - self.a) / self.a if self.a else 0.0

    @property
    def judgement(self) -> Judgement:
        """What the difference means; one within TOLERANCE means nothing."""
        if self.a is None or self.b is None:
            return "unknown"
        if self.a == self.b or (self.change is not None and abs(self.change) < ALIKE):
            return "equal"
        if self.figure.better == "neither":
            return "different"
        if not self.figure.is_exact and self.change is not None and abs(self.change) <= TOLERANCE:
            return "alike"
        return "better" if (self.b > self.a) == (self.figure.better == "more") else "worse"

    @property
    def change_words(self) -> str:
        """+4.2 %, with no more digits than a measurement has."""
        if self.a is None or self.b is None:
            return text.NONE
        if self.change is None:
            return "from 0"
        if self.judgement == "equal":
            return "0.0 %"
        return f"{100 * self.change:+,.1f} %" if abs(self.change) < 10 else f"×{self.b / self.a:,.0f}"

    @property
    def mark(self) -> str:
        """An arrow in the direction of the change, and the word for what it means."""
        words = {"equal": "equal", "alike": "≈ within noise", "unknown": text.NONE}
        if self.judgement in words:
            return words[self.judgement]
        arrow = "▲" if (self.b or 0) > (self.a or 0) else "▼"
        return arrow if self.judgement == "different" else f"{arrow} {self.judgement}"


def sides(runs: Sequence[RunRecord]) -> Iterator[tuple[RunRecord, str]]:
    """Each run with its name among those that are compared: A and B; a run that is alone has none."""
    yield from zip(runs, ("A", "B") if len(runs) > 1 else ("",), strict=True)


def differences(a: RunRecord, b: RunRecord) -> Iterator[Difference]:
    """Of every figure that one of the two runs has; a rare one is left out where both have none of it."""
    for figure in FIGURES:
        found = Difference(figure, figure.of(a), figure.of(b))
        if (found.a, found.b) != (None, None) and not (figure.is_rare and not found.a and not found.b):
            yield found


def share_of_target(run: RunRecord) -> float | None:
    """Achieved rate by target rate; None without a target."""
    target_per_s = run.summary.target_per_s
    return run.summary.achieved_per_s / target_per_s if target_per_s else None


def cpu_us_per_event(run: RunRecord) -> float | None:
    """See `cost_us`."""
    summary = run.summary
    return cost_us(summary.cpu_s, summary.planned, summary.elapsed_s, max(1, len(run.workers)))


def cores(run: RunRecord) -> float | None:
    """Cores that the workers kept busy, on the average."""
    return run.summary.cpu_s / run.summary.elapsed_s if run.summary.elapsed_s else None


def percentiles_of(run: RunRecord, latency: str) -> Percentiles:
    """Of one of LATENCIES, over the whole run."""
    found: Percentiles = getattr(run.summary, f"{latency}_ms")
    return found


def latencies_of(*runs: RunRecord) -> list[str]:
    """Those of LATENCIES that one of the runs has measured; the last one only where what comes out was watched."""
    return [name for name in LATENCIES if name != "end_to_end" or any(run.summary.far_end for run in runs)]


def _latency(latency: str, percentile: str) -> ReportFigure:
    return ReportFigure(
        f"{latency}_ms.{percentile}",
        f"{LATENCIES[latency]} {PERCENTILES[percentile]}",
        lambda run: getattr(percentiles_of(run, latency), percentile),
        text.duration_ms,
        "less",
    )


def _percent(value: float | None) -> str:
    return text.NONE if value is None else f"{100 * value:.2f} %"


def _said(
    key: str, label: str, shown: Callable[[float | None], str], better: Better = "neither", **how: bool
) -> ReportFigure:
    """A figure that the summary says itself."""
    return ReportFigure(key, label, lambda run: getattr(run.summary, key), shown, better, **how)


FIGURES = (
    _said("achieved_per_s", "Achieved rate", text.rate, "more"),
    _said("target_per_s", "Target rate", text.rate),
    ReportFigure("share_of_target", "Achieved of target", share_of_target, _percent, "more"),
    *(_latency(latency, percentile) for latency in LATENCIES for percentile in PERCENTILES),
    ReportFigure("cpu_us_per_event", "CPU per event", cpu_us_per_event, text.micros, "less"),
    ReportFigure("cores", "Cores busy", cores, text.number),
    _said("planned", "Planned events", text.count),
    _said("delivered", "Delivered events", text.count),
    _said("aborted", "Aborted events", text.count, is_rare=True, is_exact=True),
    _said("failed", "Failed events", text.count, "less", is_exact=True),
    _said("dropped", "Dropped events", text.count, "less", is_exact=True),
    _said("unfinished", "Unfinished events", text.count, "less", is_exact=True),
    _said("repeated_possibly", "Possibly repeated", text.count, "less", is_rare=True, is_exact=True),
    _said("restarts", "Worker restarts", text.count, "less", is_rare=True, is_exact=True),
    _said("bytes", "Bytes delivered", text.size),
    _said("elapsed_s", "Elapsed", text.seconds),
)
"""In the order in which they are shown."""
