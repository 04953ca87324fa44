"""A mergeable log-linear histogram of durations: 1 % resolution from a microsecond to hours.

Each power of two of microseconds is cut into 64 equal buckets, so a bucket is at most 1/64 of its value wide
and its middle is within 0.8 % of every value in it. Adding two histograms adds their counts: the percentiles of
a run are computed once, from the sum over the workers, never averaged.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

STEPS_PER_OCTAVE = 64
N_OCTAVES = 36  # 1 µs .. 2^36 µs = 19 h
N_BUCKETS = N_OCTAVES * STEPS_PER_OCTAVE
MANY = 8192
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


class Histogram:
    """Counts of durations.

    Attributes:
        counts: int64[N_BUCKETS].
        sum_s: the sum of all values, seconds.
        max_s: the largest value, seconds; 0 when empty.
    """

    __slots__ = ("_counts", "_held", "_max_s", "_n_held", "_sum_s")

    def __init__(self, counts: npt.NDArray[np.int64] | None = None, sum_s: float = 0.0, max_s: float = 0.0) -> None:
        """With these counts, which it keeps and changes; empty where there are none."""
        self._counts = np.zeros(N_BUCKETS, np.int64) if counts is None else counts
        self._sum_s, self._max_s = sum_s, max_s
        self._held: list[npt.NDArray[np.float64]] = []
        self._n_held = 0

    def __reduce__(self) -> tuple[type["Histogram"], tuple[npt.NDArray[np.int64], float, float]]:
        return type(self), (self.counts, self.sum_s, self.max_s)

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """See above."""
        self._count_held()
        return self._counts

    @counts.setter
    def counts(self, counts: npt.NDArray[np.int64]) -> None:
        self._count_held()
        self._counts = counts

    @property
    def sum_s(self) -> float:
        """See above."""
        self._count_held()
        return self._sum_s

    @sum_s.setter
    def sum_s(self, sum_s: float) -> None:
        self._count_held()
        self._sum_s = sum_s

    @property
    def max_s(self) -> float:
        """See above."""
        self._count_held()
        return self._max_s

    @max_s.setter
    def max_s(self, max_s: float) -> None:
        self._count_held()
        self._max_s = max_s

    def record(self, values_s: npt.NDArray[np.float64]) -> None:
        """Add durations (float64, seconds; a negative one counts as zero); the array must not change afterwards.

        A few are held until there are many, or until somebody looks: to count them costs the same for one as for a
        thousand.
        """
        self._held.append(values_s)
        self._n_held += len(values_s)
        if self._n_held >= MANY:
            self._count_held()

    def _count_held(self) -> None:
        if self._n_held:
            values_s = np.maximum(self._held[0] if len(self._held) == 1 else np.concatenate(self._held), 0.0)
            self._held, self._n_held = [], 0
            self._count(values_s)

    def _count(self, values_s: npt.NDArray[np.float64]) -> None:
        """Count these, of which there is at least one."""
        self._max_s = max(self._max_s, float(values_s.max()))
        (changes,) = (values_s[1:] != values_s[:-1]).nonzero()
        if 2 * len(changes) < len(values_s):  # events that went together share their durations
            starts = np.concatenate(([0], changes + 1))
            repeats = np.concatenate((starts[1:], [len(values_s)])) - starts
            values_s = values_s[starts]
            np.add.at(self._counts, _bucket_of(values_s), repeats)
            self._sum_s += float(values_s @ repeats)
        else:
            self._counts += np.bincount(_bucket_of(values_s), minlength=N_BUCKETS)
            self._sum_s += float(values_s.sum())

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


class Histograms:
    """Counts of durations by group, such as a crowd, all counted in one go.

    Attributes:
        counts: int64[n_groups, N_BUCKETS].
        sum_s, max_s: float64[n_groups], see `Histogram`.
    """

    __slots__ = ("_held", "_n_held", "counts", "max_s", "sum_s")

    def __init__(self, n_groups: int) -> None:
        """All empty."""
        self.counts = np.zeros((n_groups, N_BUCKETS), np.int64)
        self.sum_s, self.max_s = np.zeros(n_groups), np.zeros(n_groups)
        self._held: list[tuple[npt.NDArray[np.float64], npt.NDArray[np.uint8]]] = []
        self._n_held = 0

    def __reduce__(self) -> Any:
        self.count_held()
        state = {"counts": self.counts, "sum_s": self.sum_s, "max_s": self.max_s, "_held": [], "_n_held": 0}
        return type(self), (len(self.counts),), (None, state)

    def record(self, values_s: npt.NDArray[np.float64], group: npt.NDArray[np.uint8]) -> None:
        """Add durations, each to its group (0..n_groups-1); both are held for a while, as in `Histogram.record`."""
        if len(values_s) and values_s[0] == values_s[-1] and (values_s == values_s[0]).all():  # events sent together
            self._count_equal(max(float(values_s[0]), 0.0), np.bincount(group, minlength=len(self.counts)))
            return
        self._held.append((values_s, group))
        self._n_held += len(values_s)
        if self._n_held >= MANY:
            self.count_held()

    def count_held(self) -> None:
        """Count what is held; before the counts are read."""
        if not self._n_held:
            return
        columns = zip(*self._held, strict=True)
        values_s, group = (np.concatenate(column) for column in columns)
        self._held, self._n_held = [], 0
        n_groups = len(self.counts)
        values_s = np.maximum(values_s, 0.0)
        places = group.astype(np.int64) * N_BUCKETS + _bucket_of(values_s)
        self.counts += np.bincount(places, minlength=n_groups * N_BUCKETS).reshape(n_groups, N_BUCKETS)
        self.sum_s += np.bincount(group, values_s, n_groups)
        if values_s.max() > self.max_s.min():
            most_s = [values_s[group == number].max(initial=0.0) for number in range(n_groups)]
            self.max_s = np.maximum(self.max_s, most_s)

    def _count_equal(self, value_s: float, n_values: npt.NDArray[np.int64]) -> None:
        """Count the same duration so many times in each group."""
        self.counts[:, _bucket_of(np.array([value_s]))[0]] += n_values
        self.sum_s += value_s * n_values
        self.max_s = np.where(n_values > 0, np.maximum(self.max_s, value_s), self.max_s)

    def merge(self, other: "Histograms") -> None:
        """Add the counts of the other, which has the same groups."""
        for one in (self, other):
            one.count_held()
        self.counts += other.counts
        self.sum_s += other.sum_s
        self.max_s = np.maximum(self.max_s, other.max_s)

    def one(self, group: int) -> Histogram:
        """A copy of one of them."""
        self.count_held()
        return Histogram(self.counts[group].copy(), float(self.sum_s[group]), float(self.max_s[group]))


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
