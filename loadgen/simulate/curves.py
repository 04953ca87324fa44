"""The pieces of a load shape: how many events a second within one segment, how many in all, and when each is due.

    line      λ(u) = a + b·u                F(u) = a·u + b·u²/2           u = 2k / (a + √(a² + 2bk))
    wave      λ(u) = a − c·cos(ωu)          F(u) = a·u − (c/ω)·sin(ωu)    Kepler's equation, M = E − e·sin E,
              with 0 ≤ c ≤ a                with M = ωk/a, E = ωu, e = c/a: see kepler.py

u: seconds since the segment began; k: events since then. This form of a line's root is as exact for b → 0 as for large
b: there is no difference in it of numbers that are nearly equal.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from loadgen.simulate.kepler import eccentric_anomaly

Floats = npt.NDArray[np.float64]
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
