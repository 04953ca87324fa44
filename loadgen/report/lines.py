"""What Plotly's figures are made of: lines, axes, what is marked on the axis of time.

In: numbers and units. Out: JSON for Plotly. A colour is the name of a variable of the style sheet ("--accent"), which
the page's script looks up: light, dark and print have their own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, log10
from typing import Any

from loadgen.record import RunRecord

LEAST_MS = 0.001
"""A logarithmic axis has no zero: what is shorter than the microsecond that is measured is drawn as one."""
FEW_POINTS = 40
"""So few of them are marked with dots."""
FEW = 10.0
WHOLE = ("events", "listeners")
"""Units of which there is no half."""
_UNITS = ((180.0, 1.0, "s", "seconds"), (3 * 3600.0, 60.0, "min", "minutes"), (float("inf"), 3600.0, "h", "hours"))


@dataclass(frozen=True, slots=True)
class Time:
    """The axis of time, in a unit that suits the longest run.

    Attributes:
        per_unit_s: seconds.
        short, long: the unit's names.
        most: where it ends, in that unit.
        marks: stretches that are marked: stalls, the warm-up.
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
        name: in the legend.
        xs, ys: of equal length; None is a gap.
        colour: of the style sheet.
        unit: of what is shown under the pointer.
        dash: Plotly's word.
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
