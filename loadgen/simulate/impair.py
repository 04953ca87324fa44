"""Spoil events on purpose, to test what a pipeline does with them: late, duplicated, dropped, out-of-order, malformed.

Batches of a shard go in, in the order of time; what comes out is in the order of leaving, with the time at which each
event leaves (its own `ts_ms` never changes). What happens to an event is drawn from its listener's key, its session and
its item, so it does not depend on batches or workers.

    drop        never leaves
    duplicate   leaves twice
    late        leaves later, by LATE_MEAN_S on average (exponential)
    reorder     leaves right after the listener's next event
    malform     leaves with broken bytes (encode/malform.py)
"""

from dataclasses import dataclass, field, fields
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from loadgen.event import EventBatch, Int64s, UInt64s
from loadgen.simulate.rng import draw, second

LATE_MEAN_S = 120.0
_STREAM = np.uint64(0x1A7E0FF5E7B1A5ED)
_HALF_BITS = 32
_ITEM_BITS = 16
KINDS = ("drop", "duplicate", "late", "reorder", "malform")


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
class Leaving:
    """Events in the order of leaving.

    Attributes:
        events: the events.
        leave_ms: int64, simulated time of leaving, ascending.
        broken: bool, to be malformed.
    """

    events: EventBatch
    leave_ms: Int64s
    broken: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.leave_ms)

    def take(self, positions: npt.NDArray[np.integer[Any]] | slice) -> "Leaving":
        """The events at these positions, in that order."""
        return Leaving(self.events.take(positions), self.leave_ms[positions], self.broken[positions])


def unimpaired(batch: EventBatch) -> Leaving:
    """Events that leave when they happen, as they are."""
    return Leaving(batch, batch.ts_ms, np.zeros(len(batch), np.bool_))


@dataclass(slots=True)
class Impairer:
    """Impairs the events of one shard.

    Attributes:
        probabilities: of each impairment.
        keys: uint64[number of listeners], `Listeners.key`.
        counts: events of each kind of KINDS so far.
    """

    probabilities: Probabilities
    keys: UInt64s
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    _late: Leaving | None = None
    _overtaken: Leaving | None = None

    def impair(self, batch: EventBatch, until_ms: int) -> Leaving:
        """What leaves before until_ms, given the events that happen before it."""
        leaving = self._copies(self._kept(unimpaired(batch)))
        draws = _uniforms(self._bits(leaving.events, salt=1))
        leaving.broken = self._chosen("malform", draws[0])
        is_reordered = self._chosen("reorder", draws[1])
        leaving, overtaken = leaving.take(np.flatnonzero(~is_reordered)), leaving.take(np.flatnonzero(is_reordered))
        leaving = self._with_overtaken(leaving, overtaken)
        return self._with_late(leaving, until_ms)

    def rest(self) -> Leaving | None:
        """What is still held back when no more events come; None where nothing is."""
        held = [part for part in (self._late, self._overtaken) if part is not None and len(part)]
        self._late = self._overtaken = None
        return _in_order(_concat(held)) if held else None

    def _kept(self, leaving: Leaving) -> Leaving:
        drops, _ = _uniforms(self._bits(leaving.events, salt=2))
        return leaving.take(np.flatnonzero(~self._chosen("drop", drops)))

    def _copies(self, leaving: Leaving) -> Leaving:
        _, duplicates = _uniforms(self._bits(leaving.events, salt=2))
        return leaving.take(np.repeat(np.arange(len(leaving)), 1 + self._chosen("duplicate", duplicates)))

    def _with_overtaken(self, leaving: Leaving, overtaken: Leaving) -> Leaving:
        """Let each event that is held back leave right after the next event of its listener."""
        waiting = overtaken if self._overtaken is None else _concat([self._overtaken, overtaken])
        if len(waiting) == 0:
            return leaving
        after = _next_of_same(leaving, waiting)
        freed, still = np.flatnonzero(after >= 0), np.flatnonzero(after < 0)
        self._overtaken = waiting.take(still)
        released = waiting.take(freed)
        released.leave_ms = leaving.leave_ms[after[freed]]
        return _in_order(_concat([leaving, released]))

    def _with_late(self, leaving: Leaving, until_ms: int) -> Leaving:
        """Hold back what is late, and let go what was held back and is due before until_ms."""
        draws, delays = _uniforms(self._bits(leaving.events, salt=3))
        delay_ms = np.where(self._chosen("late", draws), -np.log1p(-delays) * LATE_MEAN_S * 1000, 0.0)
        leaving.leave_ms = leaving.leave_ms + delay_ms.astype(np.int64)
        every = _in_order(leaving if self._late is None else _concat([self._late, leaving]))
        cut = int(np.searchsorted(every.leave_ms, until_ms))
        self._late = every.take(slice(cut, None))
        return every.take(slice(0, cut))

    def _chosen(self, kind: str, uniforms: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        chosen: npt.NDArray[np.bool_] = uniforms < getattr(self.probabilities, kind)
        self.counts[kind] += int(chosen.sum())
        return chosen

    def _bits(self, events: EventBatch, salt: int) -> Int64s:
        session = events.session_id % (1 << 20)
        counter = (session << _ITEM_BITS) + events.item + (salt << 40)
        return second(draw(self.keys[events.row] ^ _STREAM, counter.astype(np.uint64)))


def _uniforms(bits: Int64s) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Two uniform numbers in [0, 1) from 64 bits each."""
    words = bits.view(np.uint64)
    high, low = words >> np.uint64(_HALF_BITS), words & np.uint64((1 << _HALF_BITS) - 1)
    return high / 2.0**_HALF_BITS, low / 2.0**_HALF_BITS


def _next_of_same(leaving: Leaving, waiting: Leaving) -> Int64s:
    """Position in `leaving` of the next event of each waiting one's listener; -1 where there is none yet."""
    order = np.lexsort((leaving.events.ts_ms, leaving.events.row))
    keys = _time_key(leaving.events)[order]
    at = np.searchsorted(keys, _time_key(waiting.events), side="right")
    found = order[np.minimum(at, len(order) - 1)] if len(order) else np.zeros(len(waiting), np.int64)
    same = (at < len(order)) & (len(order) > 0)
    if len(order):
        same &= leaving.events.row[found] == waiting.events.row
    return np.where(same, found, -1)


def _time_key(events: EventBatch) -> npt.NDArray[np.void]:
    """(row, ts) as one value that sorts by row, then by time."""
    keys = np.empty(len(events), dtype=[("row", np.int64), ("ts", np.int64)])
    keys["row"], keys["ts"] = events.row, events.ts_ms
    return keys


def _in_order(leaving: Leaving) -> Leaving:
    """Sorted by the time of leaving; what leaves at the same moment keeps its order."""
    return leaving.take(np.argsort(leaving.leave_ms, kind="stable"))


def _concat(parts: list[Leaving]) -> Leaving:
    columns = [
        np.concatenate([getattr(part.events, column.name) for part in parts]) for column in fields(EventBatch)
    ]
    leave_ms = np.concatenate([part.leave_ms for part in parts])
    return Leaving(EventBatch(*columns), leave_ms, np.concatenate([part.broken for part in parts]))
