"""How far a run came in each partition of a sink: which of its events must be there, and which may be absent.

The events of one virtual shard of the listeners in one partition (Kafka's; a file has one) are a sequence in the order
of sending, the same for any number of workers. A place in it names an event for good. A sink reports how each of them
ended, in order; the manifest holds what came of that; `verify` makes the events again and asks for each of them.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from loadgen.event import N_VIRTUAL_SHARDS, Int64s, UInt16s, rank_within
from loadgen.ledger import Outcome

Bools = npt.NDArray[np.bool_]
MOST_RANGES = 1 << 15
"""Of each kind and worker. A run that gives up events for minutes has more; its record then says that it lacks some."""
_MOST_HELD = 1 << 16
_PARTITION, _SLICE, _FIRST, _COUNT = range(4)
_PLACE_BITS = 40


def _no_ranges() -> Int64s:
    return np.empty((0, 4), np.int64)


def _no_counts() -> Int64s:
    return np.empty(0, np.int64)


@dataclass(slots=True)
class Progress:
    """How far a sink has come.

    Attributes:
        ended: int64[n_partitions, N_VIRTUAL_SHARDS], how many events of each sequence have ended, from the first
        without a gap. absent: int64[n, 4], those of them that were not acknowledged for certain (failed, dropped,
        unfinished): ranges of
            (partition, virtual shard, first place, number of events).
        aborted: int64[n_partitions], how many of them were acknowledged in transactions that were aborted on purpose.
            Which they are follows from the settings, see transactions.py.
        ahead: int64[n, 4], ranges of events that were delivered while one before them was still in flight.
        is_complete: whether `absent` and `ahead` name all such events: False once there were more than MOST_RANGES.
    """

    ended: Int64s
    absent: Int64s = field(default_factory=_no_ranges)
    ahead: Int64s = field(default_factory=_no_ranges)
    is_complete: bool = True
    aborted: Int64s = field(default_factory=_no_counts)
    _held: list[tuple[int, UInt16s]] = field(default_factory=list)
    _n_held: int = 0

    @classmethod
    def start(cls, n_partitions: int, before: "Progress | None" = None) -> "Progress":
        """At the beginning of a run; or where a predecessor was, whose own ranges are known already."""
        ended = np.zeros((n_partitions, N_VIRTUAL_SHARDS), np.int64) if before is None else before.ended.copy()
        return cls(ended)

    def __post_init__(self) -> None:
        if len(self.aborted) < len(self.ended):
            self.aborted = np.pad(self.aborted, (0, len(self.ended) - len(self.aborted)))

    def advance(self, partition: int, virtual_shard: UInt16s, outcome: npt.NDArray[np.uint8] | None = None) -> None:
        """The next events of a partition have ended.

        Args:
            partition: the partition.
            virtual_shard: uint16[n], the virtual shard of each event, in the order of sending.
            outcome: uint8[n], an `Outcome` each; None where all were delivered.
        """
        if outcome is not None:
            is_aborted = outcome == Outcome.ABORTED
            (positions,) = np.nonzero((outcome != Outcome.DELIVERED) & ~is_aborted)
            self.aborted[partition] += np.count_nonzero(is_aborted)
            if len(positions):
                places = self.places(partition, virtual_shard)
                self.absent = self._kept(self.absent, partition, virtual_shard[positions], places[positions])
        self._held.append((partition, virtual_shard))
        self._n_held += len(virtual_shard)
        if self._n_held >= _MOST_HELD:
            self.flush()

    def places(self, partition: int, virtual_shard: UInt16s) -> Int64s:
        """The places of the next events of a partition: int64[n]."""
        self.flush()
        places: Int64s = self.ended[partition][virtual_shard] + rank_within(virtual_shard, N_VIRTUAL_SHARDS)[0]
        return places

    def flush(self) -> "Progress":
        """Count what is held back, once for many calls of `advance`; returns itself."""
        if self._held:
            partitions = np.repeat([at for at, _ in self._held], [len(one) for _, one in self._held])
            slices = np.concatenate([one for _, one in self._held])
            counts = np.bincount(partitions * N_VIRTUAL_SHARDS + slices, minlength=self.ended.size)
            self.ended += counts.reshape(self.ended.shape)
            self._held, self._n_held = [], 0
        return self

    def set_ahead(self, ahead: list[tuple[int, UInt16s, Int64s]]) -> None:
        """Replace the ranges of events that are delivered beyond `ended`: (partition, virtual shards, places)."""
        self.ahead = _no_ranges()
        for partition, virtual_shard, places in ahead:
            self.ahead = self._kept(self.ahead, partition, virtual_shard, places)

    def merge(self, other: "Progress") -> None:
        """Add what another worker, or the successor of this one, says."""
        self.flush()
        other.flush()
        if self.ended.shape[0] < other.ended.shape[0]:  # a topic was given more partitions during the run
            self.ended = np.pad(self.ended, ((0, other.ended.shape[0] - self.ended.shape[0]), (0, 0)))
        n = other.ended.shape[0]
        self.ended[:n] = np.maximum(self.ended[:n], other.ended)
        self.aborted = np.pad(self.aborted, (0, len(self.ended) - len(self.aborted)))
        self.aborted[:n] += other.aborted
        self.absent = np.concatenate([self.absent, other.absent])
        self.ahead = np.concatenate([self.ahead, other.ahead])
        self.is_complete &= other.is_complete

    def may_be_absent(self, partition: UInt16s, virtual_shard: Int64s, place: Int64s) -> Bools:
        """For each event whether it may be absent: bool[n].

        Args:
            partition, virtual_shard, place: of each event.
        """
        is_open = place >= self.flush().ended[partition, virtual_shard]
        keys = _keys(partition.astype(np.int64), virtual_shard, place)
        return (is_open | _is_within(keys, self.absent)) & ~_is_within(keys, self.ahead)

    def n_delivered(self, first: int, stop: int) -> int:
        """How many events of the partitions first:stop are delivered, as far as is known."""
        n_ended = int(self.flush().ended[first:stop].sum())
        absent, ahead = (_joined(ranges) if len(ranges) else ranges for ranges in (self.absent, self.ahead))
        absent, ahead = (ranges[(first <= ranges[:, 0]) & (ranges[:, 0] < stop)] for ranges in (absent, ahead))
        # some of those ahead of a worker that died have ended since
        starts = np.maximum(ahead[:, _FIRST], self.ended[ahead[:, _PARTITION], ahead[:, _SLICE]])
        n_ahead = np.maximum(ahead[:, _FIRST] + ahead[:, _COUNT] - starts, 0).sum()
        return n_ended - int(absent[:, _COUNT].sum()) - int(self.aborted[first:stop].sum()) + int(n_ahead)

    def as_json(self) -> dict[str, Any]:
        """What a manifest says: the counts of a partition's virtual shards in one text, and a text for each range."""
        self.flush()
        return {
            "partitions": self.ended.shape[0],
            "ended": [" ".join(map(str, counts)) for counts in self.ended.tolist()],
            "absent": _texts(self.absent),
            "ahead": _texts(self.ahead),
            "complete": self.is_complete,
            "aborted": self.aborted.tolist(),
        }

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "Progress":
        """Read what `as_json` wrote; raises KeyError, TypeError or ValueError where it is something else."""
        ended = np.array([text.split(" ") for text in content["ended"]]).astype(np.int64)
        if ended.shape != (content["partitions"], N_VIRTUAL_SHARDS) or (ended < 0).any():
            raise ValueError(f"progress that is not counts of {N_VIRTUAL_SHARDS} slices for each partition")
        if content["complete"] not in (True, False):
            raise ValueError("progress that does not say whether it is complete")
        ranges = [_ranges(content[name], len(ended)) for name in ("absent", "ahead")]
        aborted = np.array(content.get("aborted", []), np.int64)
        if aborted.ndim != 1 or len(aborted) not in (0, len(ended)) or (aborted < 0).any():
            raise ValueError("progress with aborted events that are not counts of partitions")
        return cls(ended, ranges[0], ranges[1], content["complete"], aborted)

    def _kept(self, ranges: Int64s, partition: int, virtual_shard: UInt16s, places: Int64s) -> Int64s:
        """The ranges, with these events among them."""
        order = np.lexsort((places, virtual_shard))
        slices, places = virtual_shard[order].astype(np.int64), places[order]
        is_first = np.append(True, (slices[1:] != slices[:-1]) | (places[1:] != places[:-1] + 1))
        firsts = np.flatnonzero(is_first)
        lengths = np.diff(np.append(firsts, len(places)))
        added = np.column_stack([np.full(len(firsts), partition), slices[firsts], places[firsts], lengths])
        joined = np.concatenate([ranges, added]) if self.is_complete else ranges
        if len(joined) > MOST_RANGES:
            joined = _joined(joined)
        self.is_complete &= len(joined) <= MOST_RANGES
        return joined[:MOST_RANGES]


def _keys(partition: Int64s, virtual_shard: Int64s, place: Int64s) -> Int64s:
    """One ascending number for each event."""
    keys: Int64s = ((partition * N_VIRTUAL_SHARDS + virtual_shard) << _PLACE_BITS) + place
    return keys


def _is_within(keys: Int64s, ranges: Int64s) -> Bools:
    """Which of the events are within one of the ranges: bool[n]."""
    if len(ranges) == 0:
        return np.zeros(len(keys), np.bool_)
    merged = _joined(ranges)
    starts = _keys(merged[:, _PARTITION], merged[:, _SLICE], merged[:, _FIRST])
    at = np.searchsorted(starts, keys, side="right") - 1
    found: Bools = (at >= 0) & (keys < starts[at] + merged[at, _COUNT])
    return found


def _joined(ranges: Int64s) -> Int64s:
    """The same events in the fewest ranges, ascending: those that touch or overlap are one."""
    starts = _keys(ranges[:, _PARTITION], ranges[:, _SLICE], ranges[:, _FIRST])
    order = np.argsort(starts, kind="stable")
    starts, ends = starts[order], np.maximum.accumulate((starts + ranges[:, _COUNT])[order])
    (firsts,) = np.nonzero(np.append(True, starts[1:] > ends[:-1]))
    found = ranges[order][firsts]
    found[:, _COUNT] = ends[np.append(firsts[1:], len(starts)) - 1] - starts[firsts]
    return found


def _texts(ranges: Int64s) -> list[str]:
    return [" ".join(map(str, one)) for one in (_joined(ranges) if len(ranges) else ranges).tolist()]


def _ranges(texts: list[str], n_partitions: int) -> Int64s:
    if not texts:
        return _no_ranges()
    found = np.array([text.split(" ") for text in texts]).astype(np.int64)
    if found.ndim != 2 or found.shape[1] != 4 or (found < 0).any() or (found >= 1 << _PLACE_BITS).any():
        raise ValueError("ranges of events that are not four numbers each")
    if (found[:, _PARTITION] >= n_partitions).any() or (found[:, _SLICE] >= N_VIRTUAL_SHARDS).any():
        raise ValueError("ranges of events in partitions or slices that do not exist")
    return found
