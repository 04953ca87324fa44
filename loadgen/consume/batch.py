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
    """Consecutive records that become one file per day.

    Attributes:
        first: the offset at which it begins: where the batch before ends.
        opened_s: when its first records came, by the writer's clock.
        new_file: makes the temporary file of a day, or of dead letters (None).
        next: one past its last record.
        n_records: events and dead letters in it.
        n_dead: dead letters in it.
        files: by day; None for dead letters.
        added_s: when its latest records came, time.monotonic().
    """

    first: int
    opened_s: float
    new_file: Callable[[int | None], TemporaryFile]
    next: int = field(init=False)
    n_records: int = 0
    n_dead: int = 0
    files: dict[int | None, TemporaryFile] = field(default_factory=dict)
    added_s: float = 0.0

    def __post_init__(self) -> None:
        self.next = self.first

    def add(self, records: RecordBatch) -> None:
        """Append records."""
        for day, offsets, values in _by_day(records):
            self._file(day).add(values, int(offsets[0]), int(offsets[-1]))
        if records.dead:
            self._file(None).add(records.dead, records.first, records.next_offset - 1)
        self.n_records += len(records)
        self.n_dead += len(records.dead)
        self.next = records.next_offset
        self.added_s = time.monotonic()

    def largest_bytes(self) -> int:
        """The length of its longest file, about."""
        return max((file.size_bytes for file in self.files.values()), default=0)

    def _file(self, day: int | None) -> TemporaryFile:
        file = self.files.get(day)
        if file is None:
            file = self.files[day] = self.new_file(day)
        return file


def pieces(records: RecordBatch, room: int, size: int) -> Iterator[RecordBatch]:
    """The records, cut before events: `room` events first, then `size` at a time.

    Dead letters are placed by the offset that they contain."""
    cuts = range(room, len(records.values), size)
    if len(cuts) == 0:
        yield records
        return
    offsets = [records.first, *records.offsets[cuts.start :: size].tolist(), records.next_offset]
    rows = [0, *cuts, len(records.values)]
    dead = np.array([orjson.loads(line)["offset"] for line in records.dead], np.int64)
    letters = [0, *np.searchsorted(dead, offsets[1:-1]).tolist(), len(records.dead)]
    for part in range(len(cuts) + 1):
        events, others = slice(*rows[part : part + 2]), slice(*letters[part : part + 2])
        yield RecordBatch(
            offsets[part],
            records.offsets[events],
            records.days[events],
            records.values[events],
            records.dead[others],
            offsets[part + 1],
        )


def _by_day(records: RecordBatch) -> Iterator[tuple[int, Int64s, list[bytes]]]:
    """The events of each day, in order; most batches have one day only."""
    days, offsets, values = records.days, records.offsets, records.values
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
    """What the names of a partition writer's files say.

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

    def final(self, file: TemporaryFile, day: int | None, stamp_s: int) -> str:
        """The path for good of a day's file, or of dead letters (None)."""
        suffix: Suffix = "jsonl" if day is None else self.suffix
        batch = BatchName(stamp_s, self.partition, file.first, file.last, self.source.tag, suffix)
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
        log: CommitLog,
        names: FileNames,
        batches: Sequence[FileBatch],
        now_s: float,
        pool: Executor,
        *,
        clears_up: bool,
        confirm: Confirm,
    ) -> None:
        """Begin; the batches' files are closing already."""
        self.batches = batches
        self.done: Future[CommitRecord] = Future()
        self._log, self._names, self._now_s, self._pool = log, names, now_s, pool
        self._since_s = time.perf_counter()
        self.elapsed_s = 0.0
        self._clears_up, self._confirm = clears_up, confirm
        self._cancelled = False
        self._lock = Lock()
        files = [file for batch in batches for file in batch.files.values()]
        self._n_open = len(files) + 1
        for file in files:
            file.closed.add_done_callback(self._count_down)
        self._count_down(None)

    def cancel(self) -> None:
        """Stop, unless the commit point has passed."""
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
            self._log.commit(record, self._names.temporary(record.first, "record"))
            self._log.roll_forward(record)
            if self._clears_up:
                self._log.clear_up()
            self.elapsed_s = time.perf_counter() - self._since_s
        except Exception as error:  # of any kind: the partition writer raises it in the consumer's thread
            self.done.set_exception(error)
        else:
            self.done.set_result(record)

    def _record(self) -> CommitRecord:
        """Raises what a file has met."""
        at = datetime.fromtimestamp(self._now_s, UTC).isoformat()
        renames = tuple(
            Rename(file.path, self._names.final(file, day, int(self._now_s)), file.closed.result(), file.n_events)
            for batch in self.batches
            for day, file in batch.files.items()
        )
        names, first, end = self._names, self._log.next, self.batches[-1].next
        n_dead = sum(batch.n_dead for batch in self.batches)
        return CommitRecord(names.writer, names.source.tag, names.partition, first, end, at, renames, n_dead)
