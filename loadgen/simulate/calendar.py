"""Which listeners are due: two levels, so that a step costs as much as it has events, not as the shard has listeners.

    all due times ──scan, every so often──▶ near: 32 bins of keys (due, row) ──bin by bin──▶ this step's listeners

The scan reads every due time once per `_reach_ms`, in which about a quarter of the shard is due. A listener that comes
due again within that time goes straight into its bin. A step longer than that scans once for itself and needs no bins.
"""

import numpy as np

from loadgen.event import Int64s

N_BINS = 32
SCANNED_SHARE = 0.25
"""A scan is worth it once per this share of the listeners due."""
_ROW_BITS = 24
_ROW_MASK = (1 << _ROW_BITS) - 1
MAX_LISTENERS = 1 << _ROW_BITS


class Calendar:
    """The due times of a shard's listeners.

    Attributes:
        due_ms: int64[n_listeners], when the next event of each happens.
    """

    __slots__ = ("_base_ms", "_bins", "_end_ms", "_first_bin", "_reach_ms", "_width_ms", "due_ms")

    def __init__(self, due_ms: Int64s, events_per_s: float) -> None:
        """Take over due times (int64[n], ms) of listeners with this rate of events per second."""
        if len(due_ms) > MAX_LISTENERS:
            raise ValueError(f"a shard has at most {MAX_LISTENERS} listeners, got {len(due_ms)}; use more workers")
        self.due_ms = due_ms
        reach_s = SCANNED_SHARE * len(due_ms) / max(events_per_s, 1e-9)
        self._width_ms = max(1, round(1000 * min(reach_s, 86_400.0) / N_BINS))
        self._reach_ms = self._width_ms * N_BINS
        self._base_ms = self._end_ms = -1 << 62
        self._bins: list[list[Int64s]] = []
        self._first_bin = 0

    def take(self, now_ms: int, until_ms: int) -> tuple[Int64s, Int64s]:
        """Take out the listeners due before until_ms, which must then be put back.

        Args:
            now_ms: no listener is due earlier.
            until_ms: now_ms or later.

        Returns:
            Their rows and due times, int64[n] each, in any order.
        """
        if until_ms == now_ms:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        if until_ms > self._end_ms:
            if until_ms - now_ms >= self._reach_ms:
                return self._scan(until_ms)
            self._fill(now_ms, now_ms + self._reach_ms)
        return self._unpack(self._pop(until_ms))

    def put(self, rows: Int64s, due_ms: Int64s) -> None:
        """Note the new due times of these listeners, none before the last until_ms."""
        self.due_ms[rows] = due_ms
        near = (due_ms < self._end_ms).nonzero()[0]
        if len(near):
            self._sort_in(self._keys(rows.take(near), due_ms.take(near)))

    def _scan(self, until_ms: int) -> tuple[Int64s, Int64s]:
        self._end_ms = until_ms
        self._bins = []
        rows = np.flatnonzero(self.due_ms < until_ms)
        return rows, self.due_ms.take(rows)

    def _fill(self, base_ms: int, end_ms: int) -> None:
        self._base_ms, self._end_ms = base_ms, end_ms
        self._bins = [[] for _ in range(N_BINS)]
        self._first_bin = 0
        rows = np.flatnonzero(self.due_ms < end_ms)
        self._sort_in(self._keys(rows, self.due_ms.take(rows)))

    def _keys(self, rows: Int64s, due_ms: Int64s) -> Int64s:
        return ((due_ms - self._base_ms) << _ROW_BITS) | rows

    def _unpack(self, keys: Int64s) -> tuple[Int64s, Int64s]:
        return keys & _ROW_MASK, (keys >> _ROW_BITS) + self._base_ms

    def _sort_in(self, keys: Int64s) -> None:
        keys.sort()
        edges = (np.arange(self._first_bin + 1, N_BINS) * self._width_ms) << _ROW_BITS
        cuts = [0, *keys.searchsorted(edges).tolist(), len(keys)]
        for number, start in enumerate(cuts[:-1], self._first_bin):
            if cuts[number - self._first_bin + 1] > start:
                self._bins[number].append(keys[start : cuts[number - self._first_bin + 1]])

    def _pop(self, until_ms: int) -> Int64s:
        """The keys due before until_ms: whole bins, and a part of the last one."""
        n_whole, rest_ms = divmod(until_ms - self._base_ms, self._width_ms)
        found = [keys for number in range(self._first_bin, n_whole) for keys in self._bins[number]]
        for number in range(self._first_bin, n_whole):
            self._bins[number] = []
        self._first_bin = n_whole
        if rest_ms and self._bins[n_whole]:
            keys = _joined(self._bins[n_whole])
            early = keys < ((until_ms - self._base_ms) << _ROW_BITS)
            found.append(keys[early])
            self._bins[n_whole] = [keys[~early]]
        return _joined(found)


def _joined(parts: list[Int64s]) -> Int64s:
    if len(parts) == 1:
        return parts[0]
    return np.concatenate(parts) if parts else np.empty(0, np.int64)
