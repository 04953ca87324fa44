"""`loadgen run --preview`: the offered rate over time, drawn before anything is sent.

In: settings. Out: a curve of braille dots on stdout, or its points as JSON. No worker, catalogue or broker is needed.
"""

import math
import sys
from typing import Any

import numpy as np

from loadgen.config import RunSettings
from loadgen.simulate.feed import Offered, offered
from loadgen.simulate.pacers import check_pacer, find_pacer
from loadgen.simulate.shapes import ENDLESS_S, Floats
from loadgen.terminal import clock, say, say_json

WIDTH, HEIGHT = 66, 12
"""Characters of the curve: with its axis it fits into 80 columns."""
N_POINTS = 241
PER_DOT = 50
"""Moments that are looked at for each dot: no spike falls between two."""
MARGIN = 12
TICKS = 4
BLANK = 0x2800
DOTS = ((0x40, 0x04, 0x02, 0x01), (0x80, 0x20, 0x10, 0x08))
"""The bits of a braille character: left and right column, each from the bottom to the top."""
PLAIN = str.maketrans("┤│└─", "+|+-") | dict.fromkeys(range(BLANK + 1, BLANK + 256), "*") | {BLANK: " "}
"""For a terminal that knows ASCII only."""


def main(settings: RunSettings) -> int:
    """Show what the run would offer; the exit code is 0."""
    if settings.pacer is not None:
        check_pacer(find_pacer(settings.pacer), settings.curve, settings.duration_s, settings.events)
    shape = offered(settings)
    assert shape is not None  # a rule of the settings
    length_s = shown_s(settings, shape)
    if settings.json_summary:
        say_json(as_json(settings, shape, length_s))
    else:
        text = "\n".join(as_text(settings, shape, length_s)) + "\n"
        say(text if _can_say(text, sys.stdout.encoding) else text.translate(PLAIN))
    return 0


def _can_say(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def shown_s(settings: RunSettings, shape: Offered) -> float:
    """How many seconds are shown: all of the run; of one without an end, a cycle, or as much as the shape takes."""
    ends = [] if settings.duration_s is None else [settings.duration_s]
    if settings.events is not None:
        ends.append(float(shape.invert(settings.events - 1e-6)))  # before any silence that follows the last
    if ends and min(ends) < float("inf"):
        return min(ends)
    own_s = float(shape.start_s[-1])  # where the last rate begins to go on
    return shape.cycle_s if shape.cycle_s < float("inf") else own_s * 1.1 or ENDLESS_S


def as_json(settings: RunSettings, shape: Offered, length_s: float) -> dict[str, Any]:
    """The figures, and points along the curve."""
    at_s = np.linspace(0.0, length_s, N_POINTS)
    points = zip(at_s.tolist(), _rates(shape, at_s).tolist(), shape.integral(at_s).tolist(), strict=True)
    return {
        "shape": settings.curve or "constant",
        "length_s": length_s,
        **_figures(shape, length_s),
        "points": [{"at_s": at, "rate_per_s": rate, "events": events} for at, rate, events in points],
    }


def _figures(shape: Offered, length_s: float) -> dict[str, float]:
    inner = shape.start_s[shape.start_s < length_s]
    rates = _rates(shape, np.concatenate([inner, np.linspace(0.0, length_s, 2 * WIDTH * PER_DOT)]))
    events = float(shape.integral(length_s))
    least, most = float(rates.min()), float(rates.max())
    if math.isclose(most, shape.peak_per_s, rel_tol=1e-4):  # the crest of a wave lies between two of these moments
        most = shape.peak_per_s
    found = {"peak_per_s": most, "mean_per_s": events / length_s, "least_per_s": least, "events": events}
    return {name: float(f"{value:.9g}") for name, value in found.items()}


def _rates(shape: Offered, at_s: Floats) -> Floats:
    """The rate at these times; at the last, where the shape may begin again, that of just before."""
    return shape.rate_at(np.minimum(at_s, np.nextafter(at_s[-1], 0.0)))


def as_text(settings: RunSettings, shape: Offered, length_s: float) -> list[str]:
    """The curve with its axes and figures: lines of at most 80 characters."""
    found = _figures(shape, length_s)
    name = settings.curve or "constant"
    labels = {row: _short(found["peak_per_s"] * (HEIGHT - row) / HEIGHT) for row in range(0, HEIGHT, HEIGHT // TICKS)}
    rows = _curve(shape, length_s, found["peak_per_s"])
    figures = [f"{word} {_short(found[f'{word}_per_s'])}/s" for word in ("peak", "mean", "least")]
    return [
        f"{name[:60]}, events/s over {_time(length_s, length_s)}",
        *(f"{labels.get(at, ''):>{MARGIN - 2}} {'┤' if at in labels else '│'}{row}" for at, row in enumerate(rows)),
        f"{'0':>{MARGIN - 2}} └{'─' * WIDTH}",
        _time_axis(length_s),
        "   ".join([*figures, f"total {_short(round(found['events']))} events"]),
        "nothing was sent: leave out --preview to run it",
    ]


def _curve(shape: Offered, length_s: float, peak_per_s: float) -> list[str]:
    """HEIGHT rows of braille characters, WIDTH at most: a column of dots has all rates of the shape in that time."""
    at_s = np.linspace(0.0, length_s, 2 * WIDTH * PER_DOT + 1)
    shares = np.minimum(_rates(shape, at_s) / (peak_per_s or 1.0), 1.0)
    heights = np.rint(shares * (4 * HEIGHT - 1)).astype(np.int64)
    bits = np.zeros((HEIGHT, WIDTH), np.int64)
    for column in range(2 * WIDTH):
        of_column = heights[column * PER_DOT : (column + 1) * PER_DOT + 1]  # the first of the next too: no gaps
        for height in range(of_column.min(), of_column.max() + 1):
            bits[HEIGHT - 1 - height // 4, column // 2] |= DOTS[column % 2][height % 4]
    return ["".join(chr(BLANK + bit) for bit in row).rstrip(chr(BLANK)) for row in bits.tolist()]


def _time_axis(length_s: float) -> str:
    """The times of the beginning, the end, and between, each below its place."""
    line = [" "] * (MARGIN + WIDTH)
    for tick in range(TICKS + 1):
        text = _time(tick * length_s / TICKS, length_s)
        at = min(MARGIN + tick * WIDTH // TICKS - len(text) // 2, len(line) - len(text))
        line[at : at + len(text)] = text
    return "".join(line)


def _time(at_s: float, length_s: float) -> str:
    return clock(at_s) if length_s >= 120 else f"{at_s:.3g}s"


def _short(number: float) -> str:
    if number >= 1e10:
        return f"{number:.3g}"
    if number >= 1e7:
        return f"{number / 1e6:,.5g}M"
    return f"{number:,.0f}" if number >= 100 or number == int(number) else f"{number:.3g}"
