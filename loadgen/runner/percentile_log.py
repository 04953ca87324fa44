"""Latencies in the text format of HdrHistogram's percentile distributions, which its plotter reads.

In: histograms. Out: for each a file NAME.hgrm with lines of value (ms), percentile (0..1), events up to it, and
1/(1-percentile); five lines for each halving of the rest. A file is written whole or not at all.
"""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from loadgen.files import unwritable, write_whole
from loadgen.histogram import N_OCTAVES, STEPS_PER_OCTAVE, Sparse, middles_s

TICKS = 5
"""Lines for each halving of the distance to 100 %, as HdrHistogram's own default."""
HEAD = f"{'Value':>12} {'Percentile':>14} {'TotalCount':>10} {'1/(1-Percentile)':>14}\n\n"


def write_percentile_logs(folder: Path, latencies: Mapping[str, Sparse]) -> None:
    """Write a file for each of these, in place of one that is there.

    Raises:
        OutputUnwritable: with the path, the reason and the next step.
    """
    for name, recorded in latencies.items():
        path = folder / f"{name}.hgrm"
        try:
            write_whole(path, percentile_log(recorded).encode())
        except OSError as error:
            raise unwritable(path, error) from error


def percentile_log(recorded: Sparse) -> str:
    """The text of one file."""
    return HEAD + "".join(_lines(recorded)) + _footer(recorded)


def _lines(recorded: Sparse) -> Iterator[str]:
    below = np.cumsum(recorded.counts)
    if len(recorded) == 0:
        return
    values_ms = np.minimum(middles_s(recorded.buckets), recorded.max_s) * 1e3
    n_events = int(below[-1])
    for share in _shares(n_events):
        place = int(np.searchsorted(below, max(1, math.ceil(share * n_events))))
        yield f"{values_ms[place]:12.3f} {share:2.12f} {below[place]:10d} {1 / (1 - share):14.2f}\n"
    yield f"{recorded.max_s * 1e3:12.3f} {1:2.12f} {n_events:10d}\n"


def _shares(n_events: int) -> Iterator[float]:
    """0, then TICKS steps for each halving of the rest, until less than one event is left."""
    for halving in range(63):
        for tick in range(TICKS):
            rest = 2.0**-halving * (1 - tick / (2 * TICKS))
            if rest * n_events < 1:
                return
            yield 1 - rest


def _footer(recorded: Sparse) -> str:
    n_events = len(recorded)
    mean_s = recorded.sum_s / max(1, n_events)
    square = float(recorded.counts @ (middles_s(recorded.buckets) - mean_s) ** 2) / max(1, n_events)
    return (
        f"#[Mean    = {mean_s * 1e3:12.3f}, StdDeviation   = {math.sqrt(square) * 1e3:12.3f}]\n"
        f"#[Max     = {recorded.max_s * 1e3:12.3f}, Total count    = {n_events:12d}]\n"
        f"#[Buckets = {N_OCTAVES:12d}, SubBuckets     = {STEPS_PER_OCTAVE:12d}]\n"
    )
