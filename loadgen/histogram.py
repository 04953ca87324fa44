"""A mergeable log-linear histogram of durations: 1 % resolution from a microsecond to hours.

Each power of two of microseconds is cut into 64 equal buckets, so a bucket is at most 1/64 of its value wide
and its middle is within 0.8 % of every value in it. Adding two histograms adds their counts: the percentiles of
a run are computed once, from the sum over the workers, never averaged.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

STEPS_PER_OCTAVE = 64
N_OCTAVES = 36  # 1 µs .. 2^36 µs = 19 h
N_BUCKETS = N_OCTAVES * STEPS_PER_OCTAVE
PERCENTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999}


def _bucket_of(values_s: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    mantissa, octave = np.frexp(np.maximum(values_s * 1e6, 1.0))  # value = mantissa * 2**octave, mantissa in 0.5..1
    step = ((mantissa - 0.5) * (2 * STEPS_PER_OCTAVE)).astype(np.int64)
    bucket: npt.NDArray[np.int64] = (octave.astype(np.int64) - 1) * STEPS_PER_OCTAVE + step
    return np.minimum(bucket, N_BUCKETS - 1)


def bucket_edges_s() -> npt.NDArray[np.float64]:
    """The upper edge of every bucket: float64[N_BUCKETS], seconds, ascending."""
    octave, step = np.divmod(np.arange(N_BUCKETS), STEPS_PER_OCTAVE)
    return np.asarray(np.ldexp(1.0 + (step + 1) / STEPS_PER_OCTAVE, octave) * 1e-6, dtype=np.float64)


@dataclass(slots=True)
class Histogram:
    """Counts of durations.

    Attributes:
        counts: int64[N_BUCKETS].
        sum_s: the sum of all values, seconds.
        max_s: the largest value, seconds; 0 when empty.
    """

    counts: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(N_BUCKETS, np.int64))
    sum_s: float = 0.0
    max_s: float = 0.0

    def record(self, values_s: npt.NDArray[np.float64]) -> None:
        """Add durations (float64, seconds; a negative one counts as zero)."""
        n_values = len(values_s)
        if n_values == 0:
            return
        starts = np.flatnonzero(values_s[1:] != values_s[:-1]) + 1  # events that went together share their durations
        starts = np.concatenate([[0], starts])
        values_s = np.maximum(values_s[starts], 0.0)
        repeats = np.diff(starts, append=n_values)
        self.counts += np.bincount(_bucket_of(values_s), repeats, N_BUCKETS).astype(np.int64)
        self.sum_s += float(values_s @ repeats)
        self.max_s = max(self.max_s, float(values_s.max()))

    def merge(self, other: "Histogram") -> None:
        """Add the other's counts to this one."""
        self.counts += other.counts
        self.sum_s += other.sum_s
        self.max_s = max(self.max_s, other.max_s)

    def __len__(self) -> int:
        return int(self.counts.sum())

    def quantile_s(self, q: float) -> float:
        """The value below which the share q (0..1) lies, seconds; nan when empty. The middle of its bucket."""
        total = len(self)
        if total == 0:
            return float("nan")
        rank = max(1, int(np.ceil(q * total)))
        bucket = int(np.searchsorted(np.cumsum(self.counts), rank))
        octave, step = divmod(bucket, STEPS_PER_OCTAVE)
        middle_us = float(np.ldexp(1.0 + (step + 0.5) / STEPS_PER_OCTAVE, octave))
        return min(middle_us * 1e-6, self.max_s)

    def summary_ms(self) -> dict[str, float | None]:
        """p50, p90, p99, p999 and max in milliseconds; None for each when empty."""
        if len(self) == 0:
            return dict.fromkeys([*PERCENTILES, "max"])
        found = {name: round(self.quantile_s(q) * 1e3, 3) for name, q in PERCENTILES.items()}
        return {**found, "max": round(self.max_s * 1e3, 3)}

    def as_json(self) -> dict[str, Any]:
        """Only the buckets that hold something: {"counts": {bucket: n}, "sum_s": …, "max_s": …}."""
        (filled,) = np.nonzero(self.counts)
        counts = {str(bucket): int(self.counts[bucket]) for bucket in filled}
        return {"counts": counts, "sum_s": self.sum_s, "max_s": self.max_s}


def merged(histograms: Iterable[Histogram]) -> Histogram:
    """One histogram that holds all of these."""
    total = Histogram()
    for histogram in histograms:
        total.merge(histogram)
    return total
