"""How many different things there were, exactly.

In: 64-bit hashes, many at a time. Out: the number of different ones.

Costs 8 bytes for each different hash, and no more: 80 MB for 10 million listeners. Two sorted arrays: new hashes are
merged into the small one, and that into the large one when it has grown to an eighth of it; so a hash is moved some ten
times in all, however many come later.
"""

import numpy as np

from loadgen.event import UInt64s

SMALLEST_MERGE = 65_536
"""Below so many, merging them costs nothing worth saving."""


class Distinct:
    """Counts different hashes."""

    def __init__(self) -> None:
        """None yet."""
        self._large = np.empty(0, np.uint64)
        self._small = np.empty(0, np.uint64)

    def __len__(self) -> int:
        return len(self._large) + len(self._small)

    def add(self, hashes: UInt64s) -> None:
        """Take these (uint64, in any order, also repeated)."""
        new = np.unique(hashes)
        new = new[~_are_in(new, self._large)]
        new = new[~_are_in(new, self._small)]
        if len(new):
            self._small = _merged(self._small, new)
        if len(self._small) > max(SMALLEST_MERGE, len(self._large) // 8):
            self._large, self._small = _merged(self._large, self._small), self._small[:0]


def _are_in(wanted: UInt64s, ascending: UInt64s) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    """Whether each is in there: bool, one per wanted hash."""
    if len(ascending) == 0:
        return np.zeros(len(wanted), np.bool_)
    places = np.minimum(np.searchsorted(ascending, wanted), len(ascending) - 1)
    found: np.ndarray[tuple[int], np.dtype[np.bool_]] = ascending[places] == wanted
    return found


def _merged(one: UInt64s, other: UInt64s) -> UInt64s:
    """Both, ascending; they have nothing in common."""
    return np.insert(one, np.searchsorted(one, other), other)
