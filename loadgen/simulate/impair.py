"""Spoil events on purpose, to test what a pipeline does with them: late, duplicated, dropped, out-of-order, malformed.

Batches of a shard go in, in the order of time; what comes out is in the order of leaving, with the time at which each
event leaves (its own `ts_ms` never changes) and marks of what was done to it. What happens to an event is drawn from
its listener's key, its session and its item: neither batches nor shards change it, nor the order of leaving.

    drop        never leaves
    late        leaves later, by LATE_MEAN_S on average (exponential)
    reorder     leaves right after the listener's next event that is not held back itself
    duplicate   leaves twice, the copy right behind the original
    malform     leaves with broken bytes (encode/malform.py)
"""

from dataclasses import dataclass, field, fields
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from loadgen.event import EventBatch, Int32s, Int64s, UInt8s, UInt64s
from loadgen.rng import SLOT_BITS, draw, second, third

LATE_MEAN_S = 120.0
MAX_HELD = 8
"""At most this many events of a listener wait for one: at `reorder=1` every ninth goes ahead of the eight before it."""
KINDS = ("drop", "duplicate", "late", "reorder", "malform")
MARKS = {"duplicate": 1, "late": 2, "reorder": 4, "malform": 8}
_STREAM = np.uint64(0x1A7E0FF5E7B1A5ED)
_HALF_BITS = 32
_SESSION_MASK = (1 << 20) - 1
"""Session ids of one listener differ in their last 20 bits: they are its count, below 1,000,000, plus a constant."""
_MAX_PARTS = 32
Bools = npt.NDArray[np.bool_]


class Probabilities(Protocol):
    """Of each impairment of an event, 0..1."""

    @property
    def drop(self) -> float: ...
    @property
    def duplicate(self) -> float: ...
    @property
    def late(self) -> float: ...
    @property
    def reorder(self) -> float: ...
    @property
    def malform(self) -> float: ...


@dataclass(slots=True)
class OutgoingBatch:
    """Events in the order of leaving.

    Attributes:
        events: the events.
        emit_ms: int64, simulated time of leaving, ascending.
        marks: uint8, what was done to each: the sum of its MARKS; of two copies the second has "duplicate".
        dropped_ms: int64, simulated times of those that happened meanwhile and never leave, ascending.
        due_ns: int64, when each is due, see `schedule.due_of`; empty where there is no schedule.
        position: int64, of each in the sequence of its virtual shard; empty where nothing asks for it.
    """

    events: EventBatch
    emit_ms: Int64s
    marks: UInt8s
    dropped_ms: Int64s = field(default_factory=lambda: np.empty(0, np.int64))
    due_ns: Int64s = field(default_factory=lambda: np.empty(0, np.int64))
    position: Int64s = field(default_factory=lambda: np.empty(0, np.int64))

    def __len__(self) -> int:
        return len(self.emit_ms)

    def take(self, positions: npt.NDArray[np.integer[Any]] | slice) -> "OutgoingBatch":
        """The events at these positions, in that order; without those that never leave."""
        due_ns, position = (column[positions] if len(column) else column for column in (self.due_ns, self.position))
        events, emit_ms, marks = self.events.take(positions), self.emit_ms[positions], self.marks[positions]
        return OutgoingBatch(events, emit_ms, marks, due_ns=due_ns, position=position)

    def marked(self, kind: str) -> Bools:
        """Which events have this mark."""
        marked: Bools = (self.marks & MARKS[kind]) != 0
        return marked


def unimpaired(batch: EventBatch) -> OutgoingBatch:
    """Events that leave when they happen, as they are."""
    return OutgoingBatch(batch, batch.ts_ms, np.zeros(len(batch), np.uint8))


def n_impaired(leaving: OutgoingBatch, part: slice) -> dict[str, int]:
    """How many events of each of KINDS there are in a part: what was done to those that leave, and the dropped ones.

    Args:
        leaving: a batch.
        part: positions, with a start and a stop; the first part begins with the batch, the last one ends with it.
    """

    def n_dropped(n_events: int) -> int:
        """How many were dropped before or with these first events; simulated times of crowds do not ascend."""
        until_ms = leaving.emit_ms[:n_events].max(initial=0)
        return (
            len(leaving.dropped_ms)
            if n_events == len(leaving)
            else int(leaving.dropped_ms.searchsorted(until_ms, "right"))
        )

    found = {kind: int(np.count_nonzero(leaving.marked(kind)[part])) for kind in MARKS}
    return found | {"drop": n_dropped(part.stop) - (n_dropped(part.start) if part.start else 0)}


@dataclass(slots=True)
class Impairer:
    """Impairs the events of one shard.

    Attributes:
        probabilities: of each impairment.
        keys: uint64[number of listeners], `Listeners.key`.
    """

    probabilities: Probabilities
    keys: UInt64s
    _until_ms: int = 0
    _held: OutgoingBatch | None = None
    _late: list[OutgoingBatch] = field(default_factory=list)

    def impair(self, batch: EventBatch, until_ms: int) -> OutgoingBatch:
        """What leaves before until_ms, given the events that happen before it and after the last call's."""
        self._until_ms = until_ms
        drawn = self._drawn(batch)
        leaving = self._due(_copied(self._overtaken(drawn)))
        leaving.dropped_ms = drawn.dropped_ms
        return leaving

    def rest(self) -> OutgoingBatch | None:
        """What is still held back when no more events come; None where nothing is."""
        late, held = self._late, self._held
        self._late, self._held = [], None
        last_ms = max([self._until_ms, *(int(part.emit_ms[-1]) for part in late)])
        if held is not None:  # nothing will overtake it: it leaves behind all others
            held.emit_ms = held.emit_ms - held.events.ts_ms + last_ms
            held.marks = held.marks & ~np.uint8(MARKS["reorder"])
            late = [*late, _copied(held)]
        return _in_order(concat(late)) if late else None

    def _drawn(self, batch: EventBatch) -> OutgoingBatch:
        """The batch without what is dropped; what is to be done to the others is marked, the late ones are delayed."""
        counter = ((batch.session_id & _SESSION_MASK) << SLOT_BITS) + batch.item
        bits = draw(self.keys[batch.row] ^ _STREAM, counter.view(np.uint64))
        drop, duplicate = _uniforms(bits)
        late, delay = _uniforms(second(bits))
        reorder, malform = _uniforms(third(bits))
        marks = np.zeros(len(batch), np.uint8)
        for kind, uniform in (("duplicate", duplicate), ("late", late), ("reorder", reorder), ("malform", malform)):
            marks += (uniform < getattr(self.probabilities, kind)) * np.uint8(MARKS[kind])
        emit_ms = batch.ts_ms.copy()
        (rows,) = np.nonzero(marks & MARKS["late"])
        emit_ms[rows] += 1 + (-np.log1p(-delay[rows]) * (LATE_MEAN_S * 1000)).astype(np.int64)
        is_dropped = drop < self.probabilities.drop
        left = OutgoingBatch(batch, emit_ms, marks)
        if is_dropped.any():
            left = left.take(np.flatnonzero(~is_dropped))
            left.dropped_ms = batch.ts_ms[is_dropped]
        return left

    def _overtaken(self, fresh: OutgoingBatch) -> OutgoingBatch:
        """Hold back what is to be overtaken, and put it behind the event that it waited for, once that has come."""
        every = fresh if self._held is None else concat([self._held, fresh])
        is_held = every.marked("reorder")
        if not is_held.any():
            return fresh
        leader = _leaders(every.events.row, is_held)
        (waiting,), (here,) = np.nonzero(leader < 0), np.nonzero(leader >= 0)
        self._held = every.take(waiting) if len(waiting) else None
        leader = leader[here]
        order = np.argsort(2 * leader + (leader != here), kind="stable")
        here, leader = here[order], leader[order]
        goes_first = leader == here
        leaving = every.take(here)
        leaving.emit_ms += np.where(goes_first, 0, every.emit_ms[leader] - leaving.events.ts_ms)
        leaving.marks[goes_first] &= ~np.uint8(MARKS["reorder"])  # MAX_HELD others wait for it already
        return leaving

    def _due(self, leaving: OutgoingBatch) -> OutgoingBatch:
        """Keep what leaves later than this batch; add what was kept of former ones and leaves now."""
        (now,), (later,) = np.nonzero(leaving.emit_ms < self._until_ms), np.nonzero(leaving.emit_ms >= self._until_ms)
        cuts = [int(np.searchsorted(part.emit_ms, self._until_ms)) for part in self._late]
        due = [part.take(slice(0, cut)) for part, cut in zip(self._late, cuts, strict=True) if cut]
        kept = [part.take(slice(cut, None)) for part, cut in zip(self._late, cuts, strict=True) if cut < len(part)]
        if len(later):
            kept.append(_in_order(leaving.take(later)))
            leaving = leaving.take(now)
        self._late = kept if len(kept) <= _MAX_PARTS else [_in_order(concat(kept))]
        return _in_order(concat([*due, leaving]))


def _uniforms(bits: Int64s) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Two uniform numbers in [0, 1) from 64 bits each."""
    words = bits.view(np.uint64)
    high, low = words >> np.uint64(_HALF_BITS), words & np.uint64((1 << _HALF_BITS) - 1)
    return high / 2.0**_HALF_BITS, low / 2.0**_HALF_BITS


def _leaders(row: Int32s, is_marked: Bools) -> Int64s:
    """Whom each event leaves with: the listener's next event that is not held back, itself where it is not held back.

    Args:
        row: of events in the order of time.
        is_marked: which are to be held back.

    Returns:
        int64, positions; -1 where the event that is waited for has not come yet.
    """
    n, at = len(row), np.arange(len(row))
    keys = (row.astype(np.int64) << _HALF_BITS) | at
    keys.sort()  # each listener's events together, still in the order of time
    order = keys & ((1 << _HALF_BITS) - 1)
    row, is_marked = row[order], is_marked[order]
    is_first = np.append(True, row[1:] != row[:-1])[:n]
    run_start = np.maximum.accumulate(np.where(is_marked, np.where(is_first, at, 0), at + 1))
    is_held = is_marked & ((at - run_start) % (MAX_HELD + 1) != MAX_HELD)
    following = np.minimum.accumulate(np.where(is_held, n, at)[::-1])[::-1]
    found = np.minimum(following, n - 1)
    has_come = (following < n) & (row[found] == row)
    leaders = np.empty(n, np.int64)
    leaders[order] = np.where(has_come, order[found], -1)
    return leaders


def _copied(leaving: OutgoingBatch) -> OutgoingBatch:
    """Each event that is to be duplicated, twice."""
    is_duplicate = leaving.marked("duplicate")
    if not is_duplicate.any():
        return leaving
    twice = leaving.take(np.repeat(np.arange(len(leaving)), 1 + is_duplicate))
    (originals,) = np.nonzero(is_duplicate)
    twice.marks[originals + np.arange(len(originals))] &= ~np.uint8(MARKS["duplicate"])
    return twice


def _in_order(leaving: OutgoingBatch) -> OutgoingBatch:
    """Sorted by the time of leaving; what leaves at the same moment keeps its order."""
    if (leaving.emit_ms[1:] >= leaving.emit_ms[:-1]).all():
        return leaving
    return leaving.take(np.argsort(leaving.emit_ms, kind="stable"))


def concat(parts: list[OutgoingBatch]) -> OutgoingBatch:
    """All events of these parts (at least one), one part after another."""
    if len(parts) == 1:
        return parts[0]
    events = [part.events for part in parts]
    return OutgoingBatch(
        EventBatch(
            *(np.concatenate([getattr(batch, column.name) for batch in events]) for column in fields(EventBatch))
        ),
        np.concatenate([part.emit_ms for part in parts]),
        np.concatenate([part.marks for part in parts]),
        due_ns=np.concatenate([part.due_ns for part in parts]),
    )
