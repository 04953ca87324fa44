"""What the phases of a load shape mean in events per second.

In: a ShapeSpec, --rate, and how long the run is. Out: a Shape. A part of the run ("40%") is a part of its duration;
where a number of events ends it, of the time that they take; where nothing does, of ten minutes.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from itertools import pairwise

from loadgen.config.shapes import Level, Phase, ShapeSpec
from loadgen.simulate.curves import Segment
from loadgen.simulate.shapes import Shape

ENDLESS_S = 600.0
"""What counts as the length of a run that has none."""
MOST_S = 1e30
N_HALVINGS = 200
"""From MOST_S down to the last digit of any length that there can be."""
InPerS = Callable[[Level], float]
"""What a level is in events per second."""


@lru_cache(maxsize=8)  # schedule, feed and screen ask for the same; a series may have many points
def shape_of(spec: ShapeSpec, rate_per_s: float | None, run_s: float | None = None, events: int | None = None) -> Shape:
    """The shape of a run.

    Args:
        spec: its phases.
        rate_per_s: --rate, of which levels are factors. A shape that says all its rates itself needs none; with one, it
            is made as high as that.
        run_s: how long the run is; None where something else ends it.
        events: how many events end it; None where something else does.

    Raises:
        ValueError: the shape needs a rate.
    """
    if rate_per_s is None and not spec.is_absolute:
        raise ValueError(f"shape {spec.name} needs a rate")
    scale = rate_per_s / spec.peak if rate_per_s is not None and spec.is_absolute else 1.0

    def in_per_s(level: Level) -> float:
        return level.value * (scale if level.per_s else rate_per_s or 0.0)

    if run_s is None:
        run_s = ENDLESS_S if events is None else _stretched_s(spec, in_per_s, events)
    segments = [segment for phase in spec.phases for segment in _segments(phase, in_per_s, run_s)]
    last = spec.phases[-1]
    if last.is_held and not spec.repeats:
        segments.append(Segment(float("inf"), in_per_s(last.end)))
    return Shape.of(segments, spec.repeats)


def _segments(phase: Phase, in_per_s: InPerS, run_s: float) -> Iterator[Segment]:
    start, end, length_s = in_per_s(phase.start), in_per_s(phase.end), phase.length.in_s(run_s)
    if phase.kind == "series":
        unit = in_per_s(Level(1.0, phase.start.per_s))
        for (at_s, rate), (until_s, next_rate) in pairwise(phase.points):
            yield _line(until_s - at_s, rate * unit, (rate if phase.is_held else next_rate) * unit)
    elif phase.period is not None:
        yield Segment(length_s, (start + end) / 2, 0.0, (end - start) / 2, phase.period.in_s(run_s))
    elif phase.kind == "steps":
        for step in range(phase.n_steps):
            share = step / (phase.n_steps - 1) if phase.n_steps > 1 else 1.0
            yield Segment(length_s / phase.n_steps, start * (1 - share) + end * share)
    else:
        yield _line(length_s, start, end)


def _line(length_s: float, start: float, end: float) -> Segment:
    return Segment(length_s, start, (end - start) / length_s if length_s > 0 else 0.0)


def _stretched_s(spec: ShapeSpec, in_per_s: InPerS, events: int) -> float:
    """How long the run is in which the shape offers so many events, where it is stretched to the run at all."""

    def offered(phases: Iterable[Phase], run_s: float) -> float:
        return sum(segment.n_events for phase in phases for segment in _segments(phase, in_per_s, run_s))

    elastic = [phase for phase in spec.phases if phase.length.percent or (phase.period and phase.period.percent)]
    wanted = events - offered((phase for phase in spec.phases if phase not in elastic), 0.0)
    if offered(elastic, MOST_S) < wanted:
        return ENDLESS_S
    short_s, long_s = 0.0, MOST_S
    for _ in range(N_HALVINGS):
        middle_s = (short_s + long_s) / 2
        short_s, long_s = (middle_s, long_s) if offered(elastic, middle_s) < wanted else (short_s, middle_s)
    return long_s
