"""Which of a run's events were seen: a bit for each, in pages that are let go once all of their events were.

In: places of events (virtual shard, position), as arrays. Out: of each whether it is new.
"""

import numpy as np
import numpy.typing as npt

from loadgen.event import N_VIRTUAL_SHARDS, Int64s

PAGE_BITS = 12
"""The bits of so many events (2 to this power) are kept and let go together."""
PAGE_BYTES = (1 << PAGE_BITS) // 8
NO_PAGE = -1
FULL_PAGE = 0
Bools = npt.NDArray[np.bool_]


class SeenEvents:
    """A set of places: one bit for each event.

    Pages of bits are rows of one array; a table says which row a page is in. Row FULL_PAGE is all ones, and stands for
    every page whose events were all seen.
    """

    def __init__(self) -> None:
        self._rows = np.full((N_VIRTUAL_SHARDS, 1), NO_PAGE, np.int32)
        self._bits = np.zeros((64, PAGE_BYTES), np.uint8)
        self._bits[FULL_PAGE] = 0xFF
        self._n_seen = np.zeros(64, np.int64)
        self._free = list(range(63, FULL_PAGE, -1))

    @property
    def n_pages(self) -> int:
        """How many pages are in memory."""
        return len(self._bits)

    def add(self, virtual_shard: Int64s, position: Int64s) -> Bools:
        """Add places; of each whether it is new, which of equal ones only the first is."""
        is_new = np.zeros(len(position), np.bool_)
        _, firsts = np.unique(virtual_shard << 40 | position, return_index=True)
        shard, at = virtual_shard[firsts], position[firsts]
        row = self._rows_of(shard, at >> PAGE_BITS)
        byte, bit = (at & (1 << PAGE_BITS) - 1) >> 3, np.uint8(1) << (at & 7).astype(np.uint8)
        unseen = np.flatnonzero((self._bits[row, byte] & bit) == 0)
        # each of them is another bit that is not set: to add is to set
        np.add.at(self._bits.reshape(-1), row[unseen] * PAGE_BYTES + byte[unseen], bit[unseen])
        np.add.at(self._n_seen, row[unseen], 1)
        is_new[firsts[unseen]] = True
        self._let_go(shard[unseen], (at >> PAGE_BITS)[unseen], row[unseen])
        return is_new

    def has(self, virtual_shard: Int64s, position: Int64s) -> Bools:
        """Of each of these places whether it was added."""
        page = np.minimum(position >> PAGE_BITS, self._rows.shape[1] - 1)
        row = np.where(page == position >> PAGE_BITS, self._rows[virtual_shard, page], NO_PAGE)
        bits = self._bits[row, (position & (1 << PAGE_BITS) - 1) >> 3] >> (position & 7).astype(np.uint8)
        found: Bools = (row != NO_PAGE) & (bits & 1 == 1)
        return found

    def _rows_of(self, shard: Int64s, page: Int64s) -> Int64s:
        """The row of each of these pages, made where there is none."""
        n_missing = int(page.max(initial=0)) + 1 - self._rows.shape[1]
        if n_missing > 0:
            n_more = max(n_missing, self._rows.shape[1])
            self._rows = np.pad(self._rows, ((0, 0), (0, n_more)), constant_values=NO_PAGE)
        row = self._rows[shard, page]
        if (row == NO_PAGE).any():
            for one in np.unique((shard << 40 | page)[row == NO_PAGE]).tolist():  # one for each 4,096 events
                self._rows[one >> 40, one & (1 << 40) - 1] = self._new_row()
            row = self._rows[shard, page]
        return row.astype(np.int64)

    def _new_row(self) -> int:
        if not self._free:
            n_rows = len(self._bits)
            self._bits = np.concatenate([self._bits, np.zeros_like(self._bits)])
            self._n_seen = np.concatenate([self._n_seen, np.zeros_like(self._n_seen)])
            self._free = list(range(2 * n_rows - 1, n_rows - 1, -1))
        return self._free.pop()

    def _let_go(self, shard: Int64s, page: Int64s, row: Int64s) -> None:
        """Free those of these pages that are full."""
        is_full = self._n_seen[row] == 1 << PAGE_BITS
        if is_full.any():
            self._rows[shard[is_full], page[is_full]] = FULL_PAGE
            freed = np.unique(row[is_full])
            self._bits[freed], self._n_seen[freed] = 0, 0
            self._free += freed.tolist()
