"""The curves behind the statistics, with the published points, in one picture or one by one.

In: `ObservedListening`, points. Out: PNG, drawn by matplotlib without a screen.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from loadgen.analyze import drawing
from loadgen.analyze.drawing import BLUE, INK, RED
from loadgen.realism.observed import FIRST_POSITIONS, ObservedListening
from loadgen.realism.statistics import NIGHT, Days
from loadgen.realism.targets import Curve, Point

Draw = Callable[[Any, ObservedListening], bool]
"""Draws into axes; returns whether there was something to draw."""
Points = Mapping[Curve, tuple[Point, ...]]
LIGHT = "#8fb4da"
PICTURE_MARK = "loadgen realism"
"""The first bytes of a picture."""
SKIP_S = 240
"""The end of the curve of skips, seconds."""
MOST_TRACKS = 60
SHORT = 50
"""A logarithmic axis with a smaller ratio of its ends has ticks at 2 and 5, too."""
MIDDLE = 0.55
"""Points to the right of this have their labels on the left."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A curve that these events tell; `words` say what it shows to those who cannot see it."""

    key: Curve
    title: str
    words: str
    png: bytes


def picture_of(seen: ObservedListening, points: Points) -> bytes:
    """All curves as one PNG."""
    with drawing.style():
        figure = drawing.figure_of(15, 9, 100, "constrained")
        for axes, (name, draw) in zip(figure.subplots(2, 3).flat, CURVES.items(), strict=True):
            if not drawn(axes, draw, seen, points.get(name, ())):
                drawing.nothing(axes, "not told by these events")
        return drawing.png(figure, PICTURE_MARK)


def pictures_of(seen: ObservedListening, points: Points) -> Iterator[Picture]:
    """A picture of each curve that these events tell."""
    with drawing.style():
        for name, draw in CURVES.items():
            figure = drawing.figure_of(4.4, 3.4, 160, "constrained")
            axes, published = figure.subplots(), points.get(name, ())
            if drawn(axes, draw, seen, published):
                title = axes.get_title(loc="left")
                axes.set_title("", loc="left")
                yield Picture(name, title, _words(axes, title, published), drawing.png(figure, PICTURE_MARK))


def drawn(axes: Any, draw: Draw, seen: ObservedListening, published: tuple[Point, ...]) -> bool:
    """Draw a curve and its points; returns whether there is a curve."""
    drawing.frame(axes)
    drawing.grid(axes)
    axes.margins(y=0.1)
    is_told = draw(axes, seen)
    if is_told:
        _points(axes, published)
        _more_ticks(axes)
    return is_told


def _words(axes: Any, title: str, published: tuple[Point, ...]) -> str:
    points = "; ".join(one.label for one in published)
    return f"{title}: {axes.get_ylabel()}, by {axes.get_xlabel()}" + (f"; published: {points}" if points else "")


def _day(axes: Any, seen: ObservedListening) -> bool:
    _name(axes, "Plays by local hour", "hour", "relative to the hours 0 to 4")
    days = Days.of(seen)
    weekday, weekend = days.by_hour(weekend=False), days.by_hour(weekend=True)
    for hours, label, colour in ((weekday, "weekdays", BLUE), (weekend, "weekends", LIGHT)):
        if hours is not None and hours[NIGHT].sum():
            axes.plot(np.arange(24) + 0.5, hours / hours[NIGHT].mean(), color=colour, label=label, linewidth=2)
    axes.set_xticks(range(0, 25, 3))
    axes.set_ylim(bottom=0)
    return bool(axes.lines)


def _sessions(axes: Any, seen: ObservedListening) -> bool:
    _name(axes, "Session sizes", "plays (n)", "sessions of n plays or more")
    at_least = np.cumsum(seen.sizes[::-1])[::-1]
    if len(at_least):
        axes.plot(np.arange(1, len(at_least) + 1), at_least / at_least[0], color=BLUE, linewidth=2)
        axes.set_ylim(1e-4, 2)
        _logarithmic(axes)
    return bool(len(at_least))


def _hazard(axes: Any, seen: ObservedListening) -> bool:
    _name(axes, "Stopping after play n", "n", "probability")
    sizes = seen.sizes[:MOST_TRACKS]
    at_least = np.cumsum(seen.sizes[::-1])[::-1][:MOST_TRACKS]
    if len(sizes):
        axes.plot(np.arange(1, len(sizes) + 1), sizes / np.maximum(at_least, 1), color=BLUE, linewidth=2)
        axes.set_ylim(bottom=0)
    return bool(len(sizes))


def _zipf(axes: Any, seen: ObservedListening) -> bool:
    _name(axes, "Artists by rank", "rank", "plays, relative to rank 10")
    if len(seen.artists) < 10:
        return False
    axes.plot(np.arange(1, len(seen.artists) + 1), seen.artists / seen.artists[9], color=BLUE, linewidth=2)
    _logarithmic(axes)
    return True


def _skips(axes: Any, seen: ObservedListening) -> bool:
    _name(axes, "Skips by time", "seconds into the track", "plays skipped by then")
    n_next = seen.skips["n"].sum()
    if n_next:
        axes.plot(np.arange(1, SKIP_S + 1), np.cumsum(seen.next_s)[:SKIP_S] / n_next, color=BLUE, linewidth=2)
        axes.set_ylim(bottom=0)
    return bool(n_next)


def _positions(axes: Any, seen: ObservedListening) -> bool:
    _name(axes, "Skips by position", "position in the session", "plays skipped")
    skips, position = seen.skips, np.arange(1, FIRST_POSITIONS + 1)
    counted = [skips["n"][skips["position"] == place].sum() for place in position]
    skipped = [skips["n"][(skips["position"] == place) & (skips["skipped"] == 1)].sum() for place in position]
    if sum(counted):
        axes.bar(position, np.array(skipped) / np.maximum(counted, 1), color=LIGHT, width=0.6)
        axes.set_xticks(position, ["1", "2", "3", "4 and later"])
    return bool(sum(counted))


def _points(axes: Any, points: tuple[Point, ...]) -> None:
    """Draw the published points over the curve."""
    if points:
        axes.plot([one.x for one in points], [one.y for one in points], "o", color=RED, label="published")
        axes.autoscale_view()  # else it is not known yet where the points will be
    for one in points:
        x, _ = axes.transAxes.inverted().transform(axes.transData.transform((one.x, one.y)))
        side, shift = ("right", -7) if x > MIDDLE else ("left", 7)
        place = {"xytext": (shift, 7), "textcoords": "offset points", "ha": side}
        axes.annotate(one.label, (one.x, one.y), color=RED, fontsize=9, **place)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=9)


def _logarithmic(axes: Any) -> None:
    """Make both axes logarithmic, with plain numbers, because text is never read as mathematics."""
    from matplotlib.ticker import NullFormatter

    axes.set_xscale("log")
    axes.set_yscale("log")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda value, _: f"{value:g}")
        axis.set_minor_formatter(NullFormatter())


def _more_ticks(axes: Any) -> None:
    """Add ticks to a logarithmic axis that is so short that it has hardly a power of ten."""
    from matplotlib.ticker import LogLocator

    for axis, (low, high) in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
        if axis.get_scale() == "log" and high < SHORT * low:
            axis.set_major_locator(LogLocator(subs=(1, 2, 5)))


def _name(axes: Any, title: str, x: str, y: str) -> None:
    axes.set_title(title, loc="left", color=INK, fontsize=12)
    axes.set_xlabel(x, color=INK)
    axes.set_ylabel(y, color=INK)


CURVES: dict[Curve, Draw] = {
    "day": _day,
    "sessions": _sessions,
    "hazard": _hazard,
    "zipf": _zipf,
    "skips": _skips,
    "positions": _positions,
}
