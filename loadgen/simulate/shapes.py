r"""Load shapes: how many events per second are offered at which time, and so when each event is due.

In: a `ShapeSpec`, --rate and the duration of the run. Out: a `Shape`. A share of the run ("40%") is a share of its
duration; of the time that the events take where a number of events ends the run; of ten minutes where nothing does.

    λ(t)      events/s offered at t seconds after the start: segments, one after another
    F(t)      = ∫₀ᵗ λ            events due before t
    F⁻¹(k)    the moment at which event k = 0, 1, 2 … is due: the largest t with F(t) ≤ k, so silence is skipped

    hold  R |‾‾‾‾‾‾‾‾‾‾‾    ramp  R |        ,-'    steps  R |        __|
            |                       |    ,-'                 |     __|
          0 |___________          0 |,-'_______            0 |__|________

    sine  R |  .-.   .-.    series R |    ,-.       spike  R |    ___
            | /   \ /   \            |  ,'   `-._           |   /   \
          0 |'_____'_____'         0 |-'_________          0 |___|___|___

A segment is a line or a wave, and F⁻¹ is exact by the closed form of each (u: seconds since the segment began, k:
events since then):

    line      λ(u) = a + b·u                F(u) = a·u + b·u²/2           u = 2k / (a + √(a² + 2bk))
    wave      λ(u) = a − c·cos(ωu)          F(u) = a·u − (c/ω)·sin(ωu)    Kepler's equation, M = E − e·sin E,
              with 0 ≤ c ≤ a                with M = ωk/a, E = ωu, e = c/a

This form of a line's root loses no digits for b → 0, because it subtracts no nearly equal numbers. A negative e is a
wave shifted by half a period. After its last segment a shape keeps its last rate, or repeats. Nothing here reads a
clock.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from loadgen.config.shapes import Level, Phase, ShapeSpec

Floats = npt.NDArray[np.float64]
N_STEPS = 5
"""Enough for every M and e; always the same number, so that a result does not depend on what else is asked for."""


def eccentric_anomaly(mean: Floats, e: Floats) -> Floats:
    """E for M ≥ 0: float64, radians, as far beyond 2π as M is.

    Args:
        mean: M.
        e: 0..1; or -1..0, for waves that begin with their crest.
    """
    shift = np.where(e < 0, np.pi, 0.0)  # E − e·sin E with e < 0 is the same curve from its middle on
    n_turns, rest = np.divmod(mean + shift, 2 * np.pi)
    is_late = rest > np.pi
    half = _solve(np.where(is_late, 2 * np.pi - rest, rest), np.abs(e))
    return np.maximum(0.0, n_turns * (2 * np.pi) + np.where(is_late, 2 * np.pi - half, half) - shift)


def _solve(mean: Floats, e: Floats) -> Floats:
    """E for 0 ≤ M ≤ π, 0 ≤ e ≤ 1.

    f(E) = E − e·sin E − M is convex on 0..π, so Newton's steps from above the root stay above it and need no bisection.
    The start is the least of three bounds from above; the last of them is from E − sin E ≥ E³/π².
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        bound = np.fmin(mean / (1 - e), np.cbrt(np.pi**2 * mean / e))
    found: Floats = np.fmin(np.minimum(mean + e, np.pi), bound)
    for _ in range(N_STEPS):
        slope = 1 - e * np.cos(found)
        step = (found - e * np.sin(found) - mean) / np.where(slope > 0, slope, 1.0)
        found = np.clip(found - step, mean, np.pi)
    return found


Rows = npt.NDArray[np.int64] | np.int64


class Segment(NamedTuple):
    """A piece of a shape.

    Attributes:
        length_s: seconds; inf for the last one of a shape that does not begin again.
        base_per_s: events/s: a line's rate at its start, a wave's mean.
        slope: events/s², of a line; 0 of a wave.
        swing_per_s: events/s, how far a wave goes below and above its mean, 0..base, below it first; negative where it
            begins with a crest.
        period_s: of a wave, seconds; inf of a line.
    """

    length_s: float
    base_per_s: float
    slope: float = 0.0
    swing_per_s: float = 0.0
    period_s: float = float("inf")

    @property
    def is_level(self) -> bool:
        """Whether its rate does not change."""
        return self.slope == 0 and self.swing_per_s == 0

    @property
    def last_per_s(self) -> float:
        """The rate at its end, where it has one."""
        turns = 2 * math.pi * self.length_s / self.period_s
        return max(0.0, self.base_per_s + self.slope * self.length_s - self.swing_per_s * math.cos(turns))

    @property
    def n_events(self) -> float:
        """Events in all of it, where it has an end."""
        turns = 2 * math.pi * self.length_s / self.period_s
        wave = self.swing_per_s * self.period_s / (2 * math.pi) * math.sin(turns) if self.swing_per_s else 0.0
        return max(0.0, self.base_per_s * self.length_s + self.slope * self.length_s**2 / 2 - wave)


@dataclass(frozen=True, slots=True)
class Curves:
    """The segments of a shape as arrays.

    Attributes:
        base, slope, swing: float64[n], see `Segment`.
        omega: float64[n], radians per second of a wave; 0 of a line.
    """

    base: Floats
    slope: Floats
    swing: Floats
    omega: Floats

    @classmethod
    def of(cls, segments: Sequence[Segment]) -> "Curves":
        """Those of these segments."""
        _, base, slope, swing, period_s = np.array(segments, np.float64).T
        return cls(base, slope, swing, 2 * np.pi / period_s)

    def take(self, row: Rows) -> "Curves":
        """These segments of them, one for each time or number that is asked about."""
        return Curves(self.base[row], self.slope[row], self.swing[row], self.omega[row])

    def part(self, n: float, of: float) -> "Curves":
        """The same, n/of as high."""
        return Curves(self.base * n / of, self.slope * n / of, self.swing * n / of, self.omega)

    def rate(self, u: Floats) -> Floats:
        """λ(u) of one segment each, events/s."""
        return np.maximum(self.base + self.slope * u - self.swing * np.cos(self.omega * u), 0.0)

    def count(self, u: Floats) -> Floats:
        """F(u) of one segment each, events."""
        swing = np.divide(self.swing, self.omega, out=np.zeros_like(u), where=self.omega > 0)
        found: Floats = self.base * u + self.slope * np.square(u) / 2 - swing * np.sin(self.omega * u)
        return np.maximum(found, 0.0)  # where a wave begins in silence, the difference of equals may be below

    def invert(self, k: Floats) -> Floats:
        """The u at which F(u) of one segment each is k ≥ 0, seconds; inf where it never is."""
        with np.errstate(divide="ignore", invalid="ignore"):
            root = self.base + np.sqrt(np.maximum(np.square(self.base) + 2 * self.slope * k, 0.0))
            found = np.where(root > 0, 2 * k / root, np.where(self.slope > 0, 0.0, np.inf))
        wavy = np.broadcast_to(self.swing != 0, found.shape)
        if wavy.any():
            base, swing, omega = (
                np.broadcast_to(column, found.shape)[wavy] for column in (self.base, self.swing, self.omega)
            )
            found[wavy] = eccentric_anomaly(omega * k[wavy] / base, swing / base) / omega
        return found


@dataclass(frozen=True, slots=True)
class Shape:
    """An offered rate over time.

    Attributes:
        constant_per_s: the rate, where it is always the same; else None.
        start_s, length_s: float64[n], when each segment begins, and how long it is; the last one's length may be inf.
        before: float64[n], F at its start.
        curves: n of them: the rate within each.
        cycle_s, cycle: the time after which the shape begins again, and the events until then; inf where it does not.
    """

    constant_per_s: float | None
    start_s: Floats
    length_s: Floats
    before: Floats
    curves: Curves
    cycle_s: float
    cycle: float

    @classmethod
    def of(cls, segments: Iterable[Segment], repeats: bool = False) -> "Shape":
        """The shape of these segments (at least one); the rate with which the last one ends goes on, or all repeat."""
        pieces = [segment for segment in segments if segment.length_s > 0]
        levels = {segment.base_per_s for segment in pieces if segment.is_level}
        if len(levels) == 1 and all(segment.is_level for segment in pieces):
            pieces, repeats = [Segment(float("inf"), levels.pop())], False
        elif not repeats and pieces[-1].length_s < float("inf"):
            pieces.append(Segment(float("inf"), pieces[-1].last_per_s))
        constant_per_s = pieces[0].base_per_s if len(pieces) == 1 and pieces[0].is_level else None
        ended = pieces if repeats else pieces[:-1]
        ends_s, ends = (np.cumsum([0.0, *of]) for of in ([p.length_s for p in ended], [p.n_events for p in ended]))
        cycle_s, cycle = (float(ends_s[-1]), float(ends[-1])) if repeats else (float("inf"), float("inf"))
        length_s, n = np.array([piece.length_s for piece in pieces]), len(pieces)
        return cls(constant_per_s, ends_s[:n], length_s, ends[:n], Curves.of(pieces), cycle_s, cycle)

    @classmethod
    def constant(cls, rate_per_s: float) -> "Shape":
        """Always the same rate."""
        return cls.of([Segment(float("inf"), rate_per_s)])

    def part(self, n: float, of: float) -> "Shape":
        """n parts of it: the same shape, n/of as high."""
        constant_per_s = None if self.constant_per_s is None else self.constant_per_s * n / of
        before, curves, cycle = self.before * n / of, self.curves.part(n, of), self.cycle * n / of
        return Shape(constant_per_s, self.start_s, self.length_s, before, curves, self.cycle_s, cycle)

    @property
    def peak_per_s(self) -> float:
        """The highest rate that it has at any time."""
        ends_s = np.where(np.isfinite(self.length_s), self.length_s, 0.0)
        crests = self.curves.base + np.abs(self.curves.swing)
        return float(np.maximum(crests, self.curves.base + self.curves.slope * ends_s).max())

    def rate_at(self, t_s: npt.ArrayLike) -> Floats:
        """Events per second offered at these times: float64, of the same shape."""
        _, at_s = self._in_cycle(np.asarray(t_s, np.float64))
        row = np.searchsorted(self.start_s, at_s, side="right") - 1
        return self.curves.take(row).rate(at_s - self.start_s[row])

    def integral(self, t_s: npt.ArrayLike) -> Floats:
        """Events due before these times (not before 0): float64, of the same shape."""
        n_cycles, at_s = self._in_cycle(np.asarray(t_s, np.float64))
        row = np.searchsorted(self.start_s, at_s, side="right") - 1
        counted = self.before[row] + self.curves.take(row).count(at_s - self.start_s[row])
        return np.asarray(counted + n_cycles * self.cycle if self.cycle_s < float("inf") else counted)

    def invert(self, k: npt.ArrayLike) -> Floats:
        """When events k ≥ 0 are due, seconds: float64, of the same shape; inf for those that never are.

        Each is a function of its k alone, whichever others are asked for with it.
        """
        left = np.asarray(k, np.float64)
        if self.cycle == 0:  # less than can be told from nothing
            return np.full_like(left, np.inf)
        offset_s: Floats | float = 0.0
        if self.cycle < float("inf"):
            n_cycles, left = np.divmod(left, self.cycle)
            offset_s = n_cycles * self.cycle_s
        row = np.searchsorted(self.before, left, side="right") - 1
        if row.size and row.min() == row.max():  # nearly always: the events of a batch are neighbours
            row = row.reshape(-1)[0]
        within_s = np.minimum(self.curves.take(row).invert(left - self.before[row]), self.length_s[row])
        return np.asarray(self.start_s[row] + within_s + offset_s)

    def _in_cycle(self, t_s: Floats) -> tuple[Floats, Floats]:
        """How many cycles are over at these times, and the times since then."""
        t_s = np.maximum(t_s, 0.0)
        return np.divmod(t_s, self.cycle_s) if self.cycle_s < float("inf") else (np.zeros_like(t_s), t_s)


ENDLESS_S = 600.0
"""What counts as the length of a run that has none."""
MOST_S = 1e30
N_HALVINGS = 200
"""From MOST_S down to the last digit of any length that there can be."""
InPerS = Callable[[Level], float]
"""What a level is in events per second."""


@lru_cache(maxsize=8)  # schedule, feed and console ask for the same; a series may have many points
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
    """Duration of a run in which the shape offers this number of events, if it is stretched to the run at all."""

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
