r"""Load shapes: how many events a second are offered, when; and so, when each event is due.

    λ(t)      events/s offered at t seconds after the start: segments, one after another
    F(t)      = ∫₀ᵗ λ            events due before t
    F⁻¹(k)    the moment at which event k = 0, 1, 2 … is due: the largest t with F(t) ≤ k, so silence is skipped;
              exact, from the closed form of each segment: see curves.py

    hold  R |‾‾‾‾‾‾‾‾‾‾‾    ramp  R |        ,-'    steps  R |        __|
            |                       |    ,-'                 |     __|
          0 |___________          0 |,-'_______            0 |__|________

    sine  R |  .-.   .-.    series R |    ,-.       spike  R |    ___
            | /   \ /   \            |  ,'   `-._           |   /   \
          0 |'_____'_____'         0 |-'_________          0 |___|___|___

After its last segment a shape keeps its last rate, or begins again. Pure: no clock; nothing here knows of a run.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from loadgen.simulate.curves import Curves, Floats, Segment


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
