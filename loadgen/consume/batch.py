"""Batches of records, from the consumer to published files.

In: record batches, in the order of their offsets. Out: temporary files, one per day and one for dead letters; then a
commit record and the files under their final names, all of a publication or none, or an error.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from operator import itemgetter
from threading import Lock

import numpy as np
import orjson

from loadgen.consume.commits import CommitLog, CommitRecord, Rename, TopicIdentity
from loadgen.consume.temporary_file import TemporaryFile
from loadgen.errors import StoreError
from loadgen.event import Int32s, Int64s
from loadgen.store.layout import DEAD, BatchName, Suffix, day_folder


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


DAY_S = 86_400
Confirm = Callable[[float], None]
"""Raises unless what was read until then (time.monotonic()) is known to be of the source; see `TopicWatch.confirm`."""


@dataclass(frozen=True, slots=True)
class FileNames:
    """What the names of a lane's files say.

    Attributes:
        source: the topic.
        partition: Kafka's.
        writer: who writes, with a part of its own for each attempt, so that no two attempts share a temporary file.
        suffix: of files of events.
    """

    source: TopicIdentity
    partition: int
    writer: str
    suffix: Suffix

    def temporary(self, first: int, what: str) -> str:
        """The path of a file that is being written; it begins with the offset that says when it is of no more use."""
        return f"{self.source.temporaries(self.partition)}/{first:020}_{what}_{self.writer}"

    def final(self, spool: TemporaryFile, day: int | None, stamp_s: int) -> str:
        """The path for good of a day's file, or of dead letters (None)."""
        suffix: Suffix = "jsonl" if day is None else self.suffix
        batch = BatchName(stamp_s, self.partition, spool.first, spool.last, self.source.tag, suffix)
        folder = f"{DEAD}/{day_folder(stamp_s // DAY_S)}" if day is None else day_folder(day)
        return f"{folder}/{batch.text}"


class Publication:
    """Batches on their way into the store.

    Attributes:
        batches: what is published.
        done: the commit record, once all files have their final names; or the error, after which only the store knows
            whether the record is there.
        elapsed_s: how long it took, once it is done.
    """

    def __init__(
        self,
        chain: CommitLog,
        names: FileNames,
        batches: Sequence[FileBatch],
        now_s: float,
        pool: Executor,
        *,
        clears_up: bool,
        confirm: Confirm,
    ) -> None:
        """Begin; the batches' spools are told to close already."""
        self.batches = batches
        self.done: Future[CommitRecord] = Future()
        self._chain, self._names, self._now_s, self._pool = chain, names, now_s, pool
        self._since_s = time.perf_counter()
        self.elapsed_s = 0.0
        self._clears_up, self._confirm = clears_up, confirm
        self._cancelled = False
        self._lock = Lock()
        spools = [spool for batch in batches for spool in batch.spools.values()]
        self._n_open = len(spools) + 1
        for spool in spools:
            spool.closed.add_done_callback(self._count_down)
        self._count_down(None)

    def cancel(self) -> None:
        """Stop before the commit point, if it is not behind us."""
        self._cancelled = True

    def _count_down(self, _: object) -> None:
        with self._lock:
            self._n_open -= 1
            if self._n_open > 0:
                return
        try:
            self._pool.submit(self._finish)
        except RuntimeError as error:  # the pool is closed; the store is as if the process had been killed
            self.done.set_exception(error)

    def _finish(self) -> None:
        try:
            record = self._record()
            if self._cancelled:
                raise StoreError(f"the publication of partition {record.partition} was given up")
            self._confirm(self.batches[-1].added_s)
            self._chain.commit(record, self._names.temporary(record.first, "record"))
            self._chain.roll_forward(record)
            if self._clears_up:
                self._chain.clear_up()
            self.elapsed_s = time.perf_counter() - self._since_s
        except Exception as error:  # whatever it is, the lane raises it in the consumer's thread
            self.done.set_exception(error)
        else:
            self.done.set_result(record)

    def _record(self) -> CommitRecord:
        """Raises what a file has met."""
        at = datetime.fromtimestamp(self._now_s, UTC).isoformat()
        moves = tuple(
            Rename(spool.path, self._names.final(spool, day, int(self._now_s)), spool.closed.result(), spool.n_events)
            for batch in self.batches
            for day, spool in batch.spools.items()
        )
        names, first, end = self._names, self._chain.next, self.batches[-1].next
        n_dead = sum(batch.n_dead for batch in self.batches)
        return CommitRecord(names.writer, names.source.tag, names.partition, first, end, at, moves, n_dead)
