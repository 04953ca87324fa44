"""What a lane is given and gathers: blocks of records, and the temporary files that a batch of them becomes.

In: blocks, in the order of their offsets. Out: one spool per day, and one for dead letters.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from operator import itemgetter

import numpy as np
import orjson

from loadgen.consume.temporary_file import TemporaryFile
from loadgen.event import Int32s, Int64s


@dataclass(frozen=True, slots=True)
class RecordBatch:
    """Records of one Kafka partition, in the order of their offsets.

    Attributes:
        first: the offset of the first record, dead or not.
        offsets: int64, of the events.
        days: int32, of the events: days since 1970 (UTC).
        values: the events' lines, without newlines.
        dead: lines of dead letters (JSON with the field `offset`), without newlines.
        next_offset: one past the last record, dead or not.
    """

    first: int
    offsets: Int64s
    days: Int32s
    values: list[bytes]
    dead: list[bytes]
    next_offset: int

    def __len__(self) -> int:
        return len(self.values) + len(self.dead)


@dataclass(slots=True)
class FileBatch:
    """A run of records on its way to one file per day.

    Attributes:
        first: the offset at which it begins: where the batch before ends.
        opened_s: when its first block came, by the lane's clock.
        new_spool: makes the temporary file of a day, or of dead letters (None).
        next: one past its last record.
        n_records: events and dead letters in it.
        n_dead: dead letters in it.
        spools: by day; None for dead letters.
        added_s: when its latest block came, time.monotonic().
    """

    first: int
    opened_s: float
    new_spool: Callable[[int | None], TemporaryFile]
    next: int = field(init=False)
    n_records: int = 0
    n_dead: int = 0
    spools: dict[int | None, TemporaryFile] = field(default_factory=dict)
    added_s: float = 0.0

    def __post_init__(self) -> None:
        self.next = self.first

    def add(self, block: RecordBatch) -> None:
        """Append a block."""
        for day, offsets, values in _by_day(block):
            self._spool(day).add(values, int(offsets[0]), int(offsets[-1]))
        if block.dead:
            self._spool(None).add(block.dead, block.first, block.next_offset - 1)
        self.n_records += len(block)
        self.n_dead += len(block.dead)
        self.next = block.next_offset
        self.added_s = time.monotonic()

    def largest_bytes(self) -> int:
        """The length of its longest file, about."""
        return max((spool.size_bytes for spool in self.spools.values()), default=0)

    def _spool(self, day: int | None) -> TemporaryFile:
        spool = self.spools.get(day)
        if spool is None:
            spool = self.spools[day] = self.new_spool(day)
        return spool


def pieces(block: RecordBatch, room: int, size: int) -> Iterator[RecordBatch]:
    """The block cut before events: `room` of them first, then `size` at a time.

    Dead letters say their offset themselves, and go where they belong."""
    cuts = range(room, len(block.values), size)
    if len(cuts) == 0:
        yield block
        return
    offsets = [block.first, *block.offsets[cuts.start :: size].tolist(), block.next_offset]
    rows = [0, *cuts, len(block.values)]
    dead = np.array([orjson.loads(line)["offset"] for line in block.dead], np.int64)
    letters = [0, *np.searchsorted(dead, offsets[1:-1]).tolist(), len(block.dead)]
    for part in range(len(cuts) + 1):
        events, others = slice(*rows[part : part + 2]), slice(*letters[part : part + 2])
        yield RecordBatch(
            offsets[part],
            block.offsets[events],
            block.days[events],
            block.values[events],
            block.dead[others],
            offsets[part + 1],
        )


def _by_day(block: RecordBatch) -> Iterator[tuple[int, Int64s, list[bytes]]]:
    """The events of each day, in order; most blocks have one day only."""
    days, offsets, values = block.days, block.offsets, block.values
    if len(days) == 0:
        return
    if days.min() != days.max():
        order = np.argsort(days, kind="stable")
        days, offsets, values = days[order], offsets[order], list(itemgetter(*order.tolist())(values))
    edges = [0, *(np.flatnonzero(np.diff(days)) + 1).tolist(), len(days)]
    for begin, end in pairwise(edges):
        part = values if end - begin == len(values) else values[begin:end]
        yield int(days[begin]), offsets[begin:end], part
