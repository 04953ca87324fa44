"""The percentile spectrum of a histogram: how slow the slowest tenth, hundredth, thousandth … of the events were.

In: a histogram as the manifest keeps it. Out: the points of a curve. A point (x, y) says that one in x events took y or
longer, so x = 1 / (1 - percentile): on a logarithmic axis each further nine has as much room as the one before.
"""

import numpy as np

from loadgen.histogram import middles_s
from loadgen.report.read import Spread


def spectrum(spread: Spread) -> tuple[list[float], list[float]]:
    """One in how many events, and milliseconds: both ascending, of equal length; empty where nothing was measured."""
    counts, buckets = np.array(spread.counts, np.float64), np.array(spread.buckets, np.int64)
    counts, buckets = counts[counts > 0], buckets[counts > 0]
    if len(counts) == 0:
        return [], []
    from_here_on = counts[::-1].cumsum()[::-1]
    one_in = np.append(counts.sum() / from_here_on, counts.sum())  # the longest is one event
    values_s = np.append(np.minimum(middles_s(buckets), spread.max_s), spread.max_s)
    return one_in.round(6).tolist(), (values_s * 1e3).round(4).tolist()
