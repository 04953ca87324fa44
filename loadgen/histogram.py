"""A mergeable log-linear histogram of durations: 1 % resolution from a microsecond to hours.

Each power of two of microseconds is cut into 64 equal buckets, so a bucket is at most 1/64 of its value wide
and its middle is within 0.8 % of every value in it. Adding two histograms adds their counts: the percentiles of
a run are computed once, from the sum over the workers, never averaged.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

STEPS_PER_OCTAVE = 64
N_OCTAVES = 36  # 1 µs .. 2^36 µs = 19 h
N_BUCKETS = N_OCTAVES * STEPS_PER_OCTAVE
PERCENTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999}


def _bucket_of(values_s: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    bits = np.maximum(values_s * 1e6, 1.0).view(np.int64)  # of a double: exponent, then 52 of the mantissa
    octaves_and_steps: npt.NDArray[np.int64] = (bits >> 46) - (1023 << 6)  # the exponent, and 6 bits for 64 steps
    return np.minimum(octaves_and_steps, N_BUCKETS - 1)


@cache
def bucket_edges_s() -> npt.NDArray[np.float64]:
    """The upper edge of every bucket: float64[N_BUCKETS], seconds, ascending."""
    octave, step = np.divmod(np.arange(N_BUCKETS), STEPS_PER_OCTAVE)
    return np.asarray(np.ldexp(1.0 + (step + 1) / STEPS_PER_OCTAVE, octave) * 1e-6, dtype=np.float64)


def middles_s(buckets: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """The middle of each of these buckets, seconds: what a value in it counts as."""
    octave, step = np.divmod(buckets, STEPS_PER_OCTAVE)
    return np.asarray(np.ldexp(1.0 + (step + 0.5) / STEPS_PER_OCTAVE, octave) * 1e-6, np.float64)


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

    def copy(self) -> "Histogram":
        """Another that holds the same."""
        return Histogram(self.counts.copy(), self.sum_s, self.max_s)

    def since(self, earlier: "Histogram") -> "Histogram":
        """What was added after `earlier`, an older state of this one; its maximum is known to a bucket's width."""
        counts = self.counts - earlier.counts
        (filled,) = np.nonzero(counts)
        top_s = float(bucket_edges_s()[filled[-1]]) if len(filled) else 0.0
        is_new = self.max_s > earlier.max_s
        return Histogram(counts, self.sum_s - earlier.sum_s, self.max_s if is_new else min(top_s, self.max_s))

    def __len__(self) -> int:
        return int(self.counts.sum())

    def quantile_s(self, q: float) -> float:
        """The value below which the share q (0..1) lies, seconds; nan when empty. The middle of its bucket."""
        return float(_quantiles_s(np.arange(N_BUCKETS), self.counts, self.max_s, [q])[0])

    def summary_ms(self) -> dict[str, float | None]:
        """p50, p90, p99, p999 and max in milliseconds; None for each when empty."""
        return Sparse.of(self).summary_ms()


@dataclass(frozen=True, slots=True)
class Sparse:
    """A histogram of which only the filled buckets are kept: some hundred bytes.

    Attributes:
        buckets: int64, ascending; counts: int64, of each of them.
        sum_s, max_s: see `Histogram`.
    """

    buckets: npt.NDArray[np.int64]
    counts: npt.NDArray[np.int64]
    sum_s: float
    max_s: float

    @classmethod
    def of(cls, full: Histogram) -> "Sparse":
        """The same, kept small."""
        (filled,) = np.nonzero(full.counts)
        return cls(filled, full.counts[filled], full.sum_s, full.max_s)

    def full(self) -> Histogram:
        """The histogram."""
        found = Histogram(sum_s=self.sum_s, max_s=self.max_s)
        found.counts[self.buckets] = self.counts
        return found

    def __len__(self) -> int:
        return int(self.counts.sum())

    def quantile_s(self, q: float) -> float:
        """See `Histogram`."""
        return float(_quantiles_s(self.buckets, self.counts, self.max_s, [q])[0])

    def summary_ms(self) -> dict[str, float | None]:
        """See `Histogram`."""
        if len(self.buckets) == 0:
            return dict.fromkeys([*PERCENTILES, "max"])
        found_s = [*_quantiles_s(self.buckets, self.counts, self.max_s, list(PERCENTILES.values())), self.max_s]
        return {
            name: round(float(value_s) * 1e3, 3) for name, value_s in zip([*PERCENTILES, "max"], found_s, strict=True)
        }

    def as_json(self) -> dict[str, Any]:
        """{"buckets": […], "counts": […], "sum_s": …, "max_s": …}; `from_json` reads it back."""
        lists = {"buckets": self.buckets.tolist(), "counts": self.counts.tolist()}
        return {**lists, "sum_s": self.sum_s, "max_s": self.max_s}

    @classmethod
    def from_json(cls, kept: dict[str, Any]) -> "Sparse":
        """What `as_json` wrote."""
        buckets, counts = (np.array(kept[name], np.int64) for name in ("buckets", "counts"))
        return cls(buckets, counts, kept["sum_s"], kept["max_s"])


def _quantiles_s(
    buckets: npt.NDArray[np.int64], counts: npt.NDArray[np.int64], max_s: float, shares: list[float]
) -> npt.NDArray[np.float64]:
    """The values below which these shares lie: the middles of their buckets; nan where there is no value."""
    below = np.cumsum(counts)
    if len(below) == 0 or below[-1] == 0:
        return np.full(len(shares), np.nan)
    ranks = np.maximum(1, np.ceil(np.array(shares) * below[-1]))
    return np.minimum(middles_s(buckets[np.searchsorted(below, ranks)]), max_s)


def merged(histograms: Iterable[Histogram]) -> Histogram:
    """One histogram that holds all of these."""
    total = Histogram()
    for histogram in histograms:
        total.merge(histogram)
    return total
