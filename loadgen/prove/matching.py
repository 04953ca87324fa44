"""Who is missing, who is too many, who came too late: comparing two lists of events as arrays.

In: keys of what was found and of what was expected; positions of events in the order in which they were found. Out:
partners, and what has none; events out of order. Nothing here knows what an event is.
"""

from bisect import bisect_right

import numpy as np
import numpy.typing as npt

from loadgen.event import Int64s, UInt64s
from loadgen.fingerprint import GOLDEN, mix

ALONE = -1


def partners(found: UInt64s, expected: UInt64s) -> Int64s:
    """Match equal keys, the first with the first, the second with the second: the position in `expected` of each found.

    Returns:
        int64[len(found)]; ALONE where there is nothing left to match with.
    """
    order, of_expected = np.argsort(found, kind="stable"), np.argsort(expected, kind="stable")
    keys, sought = expected[of_expected], found[order]
    first = np.searchsorted(keys, sought)
    n_equal = np.searchsorted(keys, sought, side="right") - first
    rank = _ranks(sought)
    matched = np.full(len(found), ALONE, np.int64)
    is_matched = rank < n_equal
    matched[order[is_matched]] = of_expected[(first + rank)[is_matched]]
    return matched


def _ranks(keys: UInt64s) -> Int64s:
    """How many equal keys come before each, in sorted keys."""
    at = np.arange(len(keys))
    is_first = np.append(True, keys[1:] != keys[:-1])[: len(keys)]
    return at - np.maximum.accumulate(np.where(is_first, at, 0)) if len(keys) else at


def identities(major: Int64s, minor: Int64s) -> UInt64s:
    """One key for both: equal for equal ones."""
    return mix(major.view(np.uint64) * GOLDEN) ^ mix(minor.view(np.uint64) + GOLDEN)


def displaced(line: npt.NDArray[np.generic], position: Int64s) -> Int64s:
    """The fewest events that stand where they must not: without them each line ascends.

    Args:
        line: to which sequence (a listener's) each event belongs, in the order in which they were found.
        position: where it belongs in that sequence, int64; equal ones may follow each other.

    Returns:
        int64, ascending: positions in the arguments.
    """
    order = np.argsort(line, kind="stable")
    line, position = line[order], position[order]
    same = line[1:] == line[:-1]
    (falls,) = np.nonzero(same & (position[1:] < position[:-1]))
    if len(falls) == 0:
        return np.zeros(0, np.int64)
    starts = np.flatnonzero(np.append(True, ~same))
    ends = np.append(starts[1:], len(line))
    found = []
    for which in np.unique(np.searchsorted(starts, falls, side="right") - 1).tolist():
        start, end = int(starts[which]), int(ends[which])
        found += [start + at for at in _not_ascending(position[start:end].tolist())]
    return np.sort(order[found])


def _not_ascending(values: list[int]) -> list[int]:
    """What is outside the longest sequence that never falls (patience sorting, a loop over one listener's events)."""
    tails: list[int] = []
    tail_at: list[int] = []
    before: list[int] = []
    for at, value in enumerate(values):
        pile = bisect_right(tails, value)
        before.append(tail_at[pile - 1] if pile else ALONE)
        tails[pile : pile + 1] = [value]
        tail_at[pile : pile + 1] = [at]
    kept, at = set(), tail_at[-1]
    while at != ALONE:
        kept.add(at)
        at = before[at]
    return [at for at in range(len(values)) if at not in kept]
