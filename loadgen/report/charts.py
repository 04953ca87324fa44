"""The charts of the page, as plain Plotly figures: lines, axes, marks on the axis of time, percentile spectra.

In: one run, or two to lay over each other. Out: for each chart its words, and the JSON that Plotly.newPlot takes. A
colour is a variable of the style sheet ("--accent"), which the page's script looks up: light, dark and print differ.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from math import ceil, floor, log10
from typing import Any

import numpy as np

from loadgen.histogram import middles_s
from loadgen.record import CrowdSpan, HistogramRecord, RunRecord, WindowRecord
from loadgen.report import text
from loadgen.report.figures import LATENCIES, MEANINGS, latencies_of, sides

LEAST_MS = 0.001
"""A logarithmic axis has no zero: what is shorter than the microsecond that is measured is drawn as one."""
FEW_POINTS = 40
"""So few of them are marked with dots."""
FEW = 10.0
WHOLE = ("events", "listeners", "messages")
"""Units of which there is no half."""
_UNITS = ((180.0, 1.0, "s", "seconds"), (3 * 3600.0, 60.0, "min", "minutes"), (float("inf"), 3600.0, "h", "hours"))


@dataclass(frozen=True, slots=True)
class Time:
    """The axis of time, in a unit that suits the longest run.

    Attributes:
        short, long: the unit's names.
        most: where it ends, in that unit.
    """

    per_unit_s: float
    short: str
    long: str
    most: float
    marks: list[dict[str, Any]]

    @classmethod
    def of(cls, runs: Sequence[RunRecord]) -> "Time":
        """The axis for all of these runs; marks are those of a run that is alone."""
        most_s = max(run.history[-1].end_s for run in runs if run.history)
        per_s, short, long = next((per_s, short, long) for limit_s, per_s, short, long in _UNITS if most_s <= limit_s)
        return cls(per_s, short, long, most_s / per_s, _marks(runs[0], per_s) if len(runs) == 1 else [])

    def layout(self, yaxis: dict[str, Any]) -> dict[str, Any]:
        """Of a chart over time."""
        header = {"text": f"%{{x:.{1 if self.per_unit_s == 1 else 2}f}} {self.short}"}
        title = {"text": f"{self.long} since the start"}
        xaxis = {"title": title, "unifiedhovertitle": header, "range": [0, round(self.most, 4)]}
        return {"xaxis": xaxis, "yaxis": yaxis, "hovermode": "x unified", "showlegend": True, "shapes": self.marks}

    def line(
        self, run: RunRecord, name: str, values: Sequence[float | None], colour: str, unit: str, **how: Any
    ) -> Any:
        """A line with a value at the middle of each window; over all of it where there is one only, as a dot is hardly
        seen. `how` is as of the function `line`."""
        if len(run.history) == 1:
            (window,) = run.history
            times_s, values = [window.start_s, window.end_s], [*values, *values]
        else:
            times_s = [window.middle_s for window in run.history]
        xs = [round(time_s / self.per_unit_s, 4) for time_s in times_s]
        return line(name, xs, values, colour, unit, **how)


def _marks(run: RunRecord, per_unit_s: float) -> list[dict[str, Any]]:
    stretches = [(stall.from_s, stall.to_s, "--bad-fill", "stall") for stall in run.summary.stalls]
    if run.summary.measured_from_s:
        stretches.append((0.0, run.summary.measured_from_s, "--quiet-fill", "warm-up"))
    return [
        {
            "type": "rect",
            "yref": "paper",
            "x0": from_s / per_unit_s,
            "x1": to_s / per_unit_s,
            "y0": 0,
            "y1": 1,
            "line": {"width": 0},
            "fillcolor": colour,
            "layer": "below",
            "label": {"text": name, "textposition": "top left", "font": {"size": 11, "color": "--quiet"}},
        }
        for from_s, to_s, colour, name in stretches
    ]


def line(
    name: str,
    xs: list[float],
    ys: Sequence[float | None],
    colour: str,
    unit: str,
    dash: str = "solid",
    fill: bool = False,
    hidden: bool = False,
) -> dict[str, Any]:
    """A line.

    Args:
        xs, ys: of equal length; None is a gap.
        colour: of the style sheet.
        unit: of what is shown under the pointer.
        fill: whether the space below is filled.
        hidden: until the reader touches its name in the legend.
    """
    digits = 3 if unit in ("ms", "cores") else 1
    found: dict[str, Any] = {
        "type": "scatter",
        "name": name,
        "x": xs,
        "y": list(ys),
        "mode": "lines+markers" if len(xs) <= FEW_POINTS else "lines",
        "line": {"color": colour, "dash": dash, "width": 1.8},
        "marker": {"color": colour, "size": 4},
        "hovertemplate": f"%{{y:,.{digits}~f}} {unit}",
    }
    if fill:
        found |= {"fill": "tozeroy", "fillcolor": "--accent-fill"}
    return found | ({"visible": "legendonly"} if hidden else {})


def from_zero(unit: str, most: float) -> dict[str, Any]:
    """An axis that begins at zero and goes up to this value: below FEW in plain numbers, and none between those of
    whole things."""
    axis = {"title": {"text": unit}, "rangemode": "tozero", "tickformat": "~s" if most >= FEW else ""}
    return axis | ({"dtick": 1, "range": [0, max(1.0, most) * 1.05]} if unit in WHOLE and most < FEW else {})


def log_ms(least_ms: float, most_ms: float) -> dict[str, Any]:
    """A logarithmic axis of durations, whose ticks say their own unit."""
    low, high = floor(log10(least_ms) * 2) / 2, ceil(log10(most_ms) * 2 + 0.1) / 2
    steps = (1, 2, 5) if high - low <= 2 else (1, 3) if high - low <= 3 else (1,)
    ticks = [(step, decade) for decade in range(floor(low), ceil(high) + 1) for step in steps]
    values = {"tickvals": [step * 10.0**decade for step, decade in ticks], "ticktext": [_tick(*tick) for tick in ticks]}
    return {"type": "log", "range": [low, high], "title": {"text": "latency"}, **values}


def _tick(step: int, decade: int) -> str:
    """1 µs, 20 ms, 5 s; of milliseconds."""
    unit_decade, unit = (-3, "µs") if decade < 0 else (0, "ms") if decade < 3 else (3, "s")
    return f"{step * 10 ** (decade - unit_decade):,g} {unit}"


def nines(most: float) -> dict[str, Any]:
    """A logarithmic axis of 1 / (1 - percentile), from 1 to this value, whose ticks say the percentile."""
    decades = range(1, ceil(log10(most)) + 1)
    texts = ["90 %" if nine == 1 else "99" + ("." + "9" * (nine - 2) if nine > 2 else "") + " %" for nine in decades]
    ticks = {"tickvals": [1, *(10**nine for nine in decades)], "ticktext": ["0 %", *texts], "tickangle": 0}
    header = {"text": "1 in %{x:,.4~r} events"}
    return {
        "type": "log",
        "range": [0, log10(most)],
        "title": {"text": "percentile"},
        "unifiedhovertitle": header,
        **ticks,
    }


def spectrum(spread: HistogramRecord) -> tuple[list[float], list[float]]:
    """The percentile spectrum: a point (x, y) says that one in x events took y ms or longer, x = 1 / (1 - percentile).

    Both are ascending and of equal length; empty where nothing was measured.
    """
    counts, buckets = np.array(spread.counts, np.float64), np.array(spread.buckets, np.int64)
    counts, buckets = counts[counts > 0], buckets[counts > 0]
    if len(counts) == 0:
        return [], []
    from_here_on = counts[::-1].cumsum()[::-1]
    one_in = np.append(counts.sum() / from_here_on, counts.sum())  # the longest is one event
    values_s = np.append(np.minimum(middles_s(buckets), spread.max_s), spread.max_s)
    return one_in.round(6).tolist(), (values_s * 1e3).round(4).tolist()


DASHES = ("solid", "dash", "dot", "dashdot")
RUNS = {"": "--accent", "A": "--run-a", "B": "--run-b"}
"""The colour of each side."""
COLOURS = ("--accent", "--amber", "--blue", "--red", "--text")
"""Of the crowds; where there are more, with other dashes."""
PERCENTILES = {
    "p50": ("--accent", "solid"),
    "p90": ("--blue", "dash"),
    "p99": ("--amber", "solid"),
    "max": ("--red", "dot"),
}
SPECTRA = {
    "intended_to_ack": ("--accent", "solid"),
    "ack": ("--blue", "dash"),
    "schedule_lag": ("--amber", "dot"),
    "end_to_end": ("--red", "dashdot"),
}
FASTEST = 1.02
"""The spectrum's axis begins at the latency of the 2nd percentile: the very fastest events would take half of it."""
LEAST_OFFERED_S = 0.1
"""Windows in which events were offered for less time than this have no rate of offers that means anything."""
GAUGES: tuple[tuple[str, str, str, str, Callable[[WindowRecord], float]], ...] = (
    ("in-flight", "In flight", "Accepted, no delivery report yet.", "events", lambda window: window.in_flight),
    ("active", "Active users", "Listeners in a session.", "listeners", lambda window: window.active),
    ("cpu", "CPU", "Cores that the workers kept busy.", "cores", lambda window: _per_s(window.cpu_s, window.length_s)),
)


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart.

    Attributes:
        title, caption: what it is, and how to read it.
        summary: the same in words, for screen readers.
        figure: what Plotly draws: {"data": […], "layout": {…}}.
    """

    key: str
    title: str
    caption: str
    summary: str
    figure: dict[str, Any]
    is_wide: bool = False


def charts_of(runs: Sequence[RunRecord]) -> Iterator[Chart]:
    """Every chart that these runs have figures for."""
    time = Time.of(runs) if any(run.history for run in runs) else None
    if time:
        yield _rate(runs, time)
        yield from _latencies(runs, time)
    spectra = list(_spectra(runs))
    if spectra:
        yield _spectrum(spectra)
    if time:
        yield from (_gauge(runs, time, *gauge) for gauge in GAUGES)
        if any(window.lag for run in runs for window in run.history):
            yield _lag(runs, time)
        if any(window.crowds for run in runs for window in run.history):
            yield from _crowds(runs, time)


def _rate(runs: Sequence[RunRecord], time: Time) -> Chart:
    data = [one for run, side in sides(runs) for one in _rates(run, side, time)]
    spans = [_span([_per_s(window.delivered, window.length_s) for window in run.history]) for run in runs]
    most = max(value for one in data for value in one["y"] if value is not None)
    return Chart(
        key="rate",
        title="Rate",
        caption="What the schedule asked for, what was offered, and what was delivered.",
        summary=f"Events per second achieved over time: {' and '.join(spans)}",
        figure={"data": data, "layout": time.layout(from_zero("events/s", most))},
        is_wide=True,
    )


def _rates(run: RunRecord, side: str, time: Time) -> Iterator[dict[str, Any]]:
    colour = RUNS[side]
    scheduled = [_while_offering(window, window.scheduled) for window in run.history]
    lost = [_per_s(window.failed + window.dropped, window.length_s) for window in run.history]
    achieved = [_per_s(window.delivered, window.length_s) for window in run.history]
    yield time.line(run, _named("achieved", side), achieved, colour, "events/s", fill=not side)
    offered = [_while_offering(window, window.planned) for window in run.history]
    yield time.line(run, _named("offered", side), offered, "--blue", "events/s", hidden=bool(side))
    if any(value is not None for value in scheduled):
        colour = colour if side else "--text"
        yield time.line(run, _named("scheduled", side), scheduled, colour, "events/s", dash="dash")
    if any(lost):
        yield time.line(run, _named("failed or dropped", side), lost, "--red", "events/s", dash="dot")


def _latencies(runs: Sequence[RunRecord], time: Time) -> Iterator[Chart]:
    """One chart for each of LATENCIES, all with the same axis, so that they can be compared."""
    drawn = {name: list(_latency_lines(runs, time, name)) for name in latencies_of(*runs)}
    values = [value for lines in drawn.values() for one in lines for value in one["y"] if value is not None]
    axis = log_ms(min(values, default=1.0), max(values, default=1.0))
    for name, data in drawn.items():
        p99 = _span([getattr(window, f"{name}_ms").p99 for run in runs for window in run.history], " ms")
        yield Chart(
            key=f"latency-{name.replace('_', '-')}",
            title=LATENCIES[name],
            caption=f"{MEANINGS[name][0].upper()}{MEANINGS[name][1:]}.",
            summary=f"{LATENCIES[name]} over time, p99 {p99}",
            figure={"data": data, "layout": time.layout(axis)},
        )


def _latency_lines(runs: Sequence[RunRecord], time: Time, name: str) -> Iterator[dict[str, Any]]:
    """Of two runs only the median and p99 to begin with: the legend shows the others."""
    for run, side in sides(runs):
        for key, (colour, dash) in PERCENTILES.items():
            values = [getattr(getattr(window, f"{name}_ms"), key) for window in run.history]
            drawn = [None if value is None else max(value, LEAST_MS) for value in values]
            is_hidden = bool(side) and key in ("p90", "max")
            colour = RUNS[side] if side else colour
            dash = {"p50": "dot", "p90": "dash", "max": "dashdot"}.get(key, "solid") if side else dash
            yield time.line(run, _named(key, side), drawn, colour, "ms", dash=dash, hidden=is_hidden)


def _spectra(runs: Sequence[RunRecord]) -> Iterator[dict[str, Any]]:
    for run, side in sides(runs):
        for name, (colour, dash) in SPECTRA.items():
            spread = run.spread(name)
            one_in, values_ms = spectrum(spread) if spread else ([], [])
            if not one_in:
                continue
            drawn = [max(value, LEAST_MS) for value in values_ms]
            colour = RUNS[side] if side else colour
            found = line(_named(LATENCIES[name].lower(), side), one_in, drawn, colour, "ms", dash)
            found["line"]["shape"], found["mode"] = "hv", "lines"
            found["hovertemplate"] = "%{y:,.3~f} ms or longer"
            yield found


def _spectrum(data: list[dict[str, Any]]) -> Chart:
    most = max(10.0, *(one["x"][-1] for one in data))
    least_ms = min(one["y"][min(bisect_left(one["x"], FASTEST), len(one["x"]) - 1)] for one in data)
    axes = {"xaxis": nines(most), "yaxis": log_ms(least_ms, max(one["y"][-1] for one in data))}
    return Chart(
        key="spectrum",
        title="Percentile spectrum",
        caption="How slow the slowest tenth, hundredth, thousandth … of all events were: each further nine has as much "
        "room as the one before, 1 / (1 − percentile) on a logarithmic axis.",
        summary="Latency by percentile; the table of percentiles has the same figures",
        figure={"data": data, "layout": axes | {"hovermode": "x unified", "showlegend": True}},
        is_wide=True,
    )


def _gauge(
    runs: Sequence[RunRecord],
    time: Time,
    key: str,
    title: str,
    caption: str,
    unit: str,
    of: Callable[[WindowRecord], float],
) -> Chart:
    found = {side: [of(window) for window in run.history] for run, side in sides(runs)}
    data = [
        time.line(run, side or title.lower(), found[side], RUNS[side], unit, fill=not side) for run, side in sides(runs)
    ]
    most = max(value for values in found.values() for value in values)
    layout = time.layout(from_zero(unit, most)) | {"showlegend": len(runs) > 1}
    said = " and ".join(map(_span, found.values()))
    return Chart(key, title, caption, f"{title} over time, {unit}: {said}", {"data": data, "layout": layout})


def _lag(runs: Sequence[RunRecord], time: Time) -> Chart:
    """How far each consumer group was behind."""
    data, spans = [], []
    for run, side in sides(runs):
        groups = dict.fromkeys(name for window in run.history for name in window.lag)
        for name, dash in zip(groups, cycle(DASHES)):
            values = [window.lag.get(name) for window in run.history]
            data.append(time.line(run, _named(name, side), values, RUNS[side], "messages", dash=dash))
            spans.append(f"{_named(name, side)} {_span(values)}")
    most = max((value for one in data for value in one["y"] if value is not None), default=0.0)
    return Chart(
        key="lag",
        title="Lag of consumer groups",
        caption="Messages that each group had not committed.",
        summary=f"Messages behind over time: {' and '.join(spans)}",
        figure={"data": data, "layout": time.layout(from_zero("messages", most))},
        is_wide=True,
    )


def _crowds(runs: Sequence[RunRecord], time: Time) -> Iterator[Chart]:
    """The throughput and the latency of each crowd."""
    rates: list[dict[str, Any]] = []
    latencies: list[dict[str, Any]] = []
    for run, side in sides(runs):
        names = [crowd.name for crowd in run.summary.crowds]
        for number, name in enumerate(names):
            spans = [(window.crowds.get(name, CrowdSpan()), window.length_s) for window in run.history]
            look = {"dash": DASHES[(number // len(COLOURS) + 2 * (side == "B")) % len(DASHES)]}
            colour = COLOURS[number % len(COLOURS)]
            values = [_per_s(span.delivered, length_s) for span, length_s in spans]
            rates.append(time.line(run, _named(name, side), values, colour, "events/s", **look))
            p99 = [span.intended_to_ack_ms.p99 for span, _ in spans]
            drawn = [None if value is None else max(value, LEAST_MS) for value in p99]
            latencies.append(time.line(run, _named(name, side), drawn, colour, "ms", **look))
    said = "the table of crowds has the figures of the whole run"
    most = max((value for one in rates for value in one["y"] if value is not None), default=1.0)
    yield Chart(
        key="crowd-rate",
        title="Rate by crowd",
        caption="What was delivered of each crowd's events.",
        summary=f"Events per second of each crowd over time; {said}",
        figure={"data": rates, "layout": time.layout(from_zero("events/s", most))},
    )
    values_ms = [value for one in latencies for value in one["y"] if value is not None]
    axis = log_ms(min(values_ms, default=1.0), max(values_ms, default=1.0))
    yield Chart(
        key="crowd-latency",
        title="Latency by crowd, p99",
        caption="From the intended time to the delivery report.",
        summary=f"99th percentile of each crowd's latency over time; {said}",
        figure={"data": latencies, "layout": time.layout(axis)},
    )


def _per_s(number: float, length_s: float) -> float:
    return round(max(0.0, number) / length_s, 3)


def _while_offering(window: WindowRecord, n_events: float | None) -> float | None:
    """Events per second, of the time in which events were offered."""
    is_known = n_events is not None and window.asking_s >= LEAST_OFFERED_S
    return _per_s(n_events, window.asking_s) if is_known and n_events is not None else None


def _named(name: str, side: str) -> str:
    return f"{name} · {side}" if side else name


def _span(values: Sequence[float | None], unit: str = "") -> str:
    """From the least to the most."""
    known = [value for value in values if value is not None]
    return f"{text.number(min(known, default=None))} to {text.number(max(known, default=None))}{unit}"
