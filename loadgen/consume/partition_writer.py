"""Writes one Kafka partition to a store, exactly once (`loadgen.consume.commits` says why).

In: record batches, in order; ticks. Out: published files; the offset up to which everything is published.

A partition writer belongs to one thread. It writes and publishes in the pool: `add` and `tick` never wait for the
store. After an error it drops what it has not published, and takes nothing until `recover` says from where to go on.
"""

import time
from collections.abc import Callable
from concurrent.futures import Executor, Future, wait
from dataclasses import dataclass, field
from secrets import token_hex
from typing import Any

import numpy as np

from loadgen.consume.batch import Confirm, FileBatch, FileNames, Publication, RecordBatch, pieces
from loadgen.consume.commits import CLEAR_UP_EVERY, CommitLog, CommitRecord, TopicIdentity
from loadgen.consume.temporary_file import Budget, RollingPolicy, TemporaryFile
from loadgen.histogram import Histogram
from loadgen.store import Store

__all__ = ["Budget", "PartitionWriter", "Published", "RecordBatch", "RollingPolicy", "WriterContext"]


@dataclass(slots=True)
class Published:
    """What a partition writer has published since it was made; cumulative.

    Attributes:
        n_events, n_dead: events and dead letters.
        n_files: files, of dead letters too.
        n_bytes: their bytes, as stored.
        n_publications: commit records.
        publish_s: how long each publication took, from its start until every file had its name.
    """

    n_events: int = 0
    n_dead: int = 0
    n_files: int = 0
    n_bytes: int = 0
    n_publications: int = 0
    publish_s: Histogram = field(default_factory=Histogram)

    def add(self, record: CommitRecord, elapsed_s: float) -> None:
        """Count a publication."""
        self.n_events += sum(rename.events for rename in record.files) - record.n_dead
        self.n_dead += record.n_dead
        self.n_files += len(record.files)
        self.n_bytes += sum(rename.bytes for rename in record.files)
        self.n_publications += 1
        self.publish_s.record(np.array([elapsed_s]))


@dataclass(frozen=True, slots=True)
class WriterContext:
    """What the partition writers of a process share.

    Attributes:
        store: where files go.
        source: the topic.
        rolling: when a batch ends.
        writer_id: names this process in records and temporary files; without `/`.
        pool: writes and publishes, with any number of threads.
        clock: seconds since 1970.
        budget: bytes that all of them hold.
        confirm: called before each commit; the source is beyond doubt by default.
    """

    store: Store
    source: TopicIdentity
    rolling: RollingPolicy
    writer_id: str
    pool: Executor
    clock: Callable[[], float]
    budget: Budget = field(default_factory=Budget)
    confirm: Confirm = lambda _: None

    def __post_init__(self) -> None:
        if "/" in self.writer_id:
            raise ValueError(f"a writer id is part of file names and has no '/', got {self.writer_id!r}")

    def log(self, partition: int) -> CommitLog:
        """The commit log of a partition, not read yet."""
        return CommitLog(self.store, self.source.records(partition), self.source.temporaries(partition))

    def names(self, partition: int, attempt: str = "") -> FileNames:
        """The names of a partition's files, different for each attempt of this process."""
        return FileNames(self.source, partition, self.writer_id + attempt, self.rolling.suffix)


class PartitionWriter:
    """The writer of one Kafka partition.

    Attributes:
        partition: Kafka's.
        position: the offset that is to be added next; None in a partition of which nothing has been stored yet.
        next_offset: everything below it is published; None before anything is.
        published: counts for metrics.
    """

    def __init__(self, context: WriterContext, partition: int) -> None:
        """Nothing is asked of the store yet; `recover` comes first."""
        self.partition = partition
        self.position: int | None = None
        self.next_offset: int | None = None
        self.published = Published()
        self._context = context
        self._active = False
        self._failure: BaseException | None = None
        self._log, self._names = context.log(partition), context.names(partition)
        self._end = 0
        self._filling: FileBatch | None = None
        self._sealed: list[FileBatch] = []
        self._publishing: Publication | None = None

    def recover(self) -> int | None:
        """Finish what the last writer has committed, drop what is not published, and say from where to go on.

        Returns:
            The offset to read next; None where nothing of this partition has been stored yet.

        Raises:
            StoreError: the store does not answer, or something of the last commit is gone.
        """
        self.discard()
        log = self._context.log(self.partition)
        log.recover()
        self._log = log
        # other names each time: what an earlier attempt left may yet be renamed
        self._names = self._context.names(self.partition, f"-{token_hex(4)}")
        self._end = log.next
        self._failure, self._active = None, True
        self.position = self.next_offset = None if log.last is None else log.next
        return self.position

    def add(self, records: RecordBatch) -> None:
        """Take a record batch; never waits. A partition writer that has failed takes nothing: `tick` says so.

        Raises:
            ValueError: it begins before `position`, or the writer was never recovered.
        """
        if self._failure is not None:
            return
        if not self._active or records.first < (self.position or 0):
            raise ValueError(
                f"records from offset {records.first}: the writer is to be recovered, and goes on at {self.position}"
            )
        batch_size = self._context.rolling.batch_size
        room = batch_size - (self._filling.n_records if self._filling else 0)
        for piece in pieces(records, room, batch_size):
            self._add(piece)
        self.position = records.next_offset
        self._relieve()

    def tick(self, now_s: float) -> None:
        """Take the result of a publication, and start the next one when it is due; never waits.

        Args:
            now_s: by the writer's clock.

        Raises:
            Fenced: another writer has this partition: recover, and go on from there.
            StoreError: this writer publishes nothing more until it is recovered.
        """
        self._collect()
        if not self._active:
            return
        self._relieve()
        if self._publishing is None:
            if self._is_old(now_s):
                self._seal()
            if self._sealed:
                self._publish(now_s)

    @property
    def full(self) -> bool:
        """Whether to pause: the next publication is due while one is running, or memory is used up."""
        return self._active and (bool(self._sealed and self._publishing) or self._context.budget.is_spent)

    @property
    def idle(self) -> bool:
        """Whether nothing is held that is not published."""
        return self._filling is None and not self._sealed and self._publishing is None

    def publish_now(self) -> None:
        """Let everything that was added be published by the next ticks, however little it is."""
        self._seal()

    def wait(self, timeout_s: float) -> bool:
        """Wait for everything that is due to be published, ticking meanwhile.

        Returns:
            Whether it is.

        Raises:
            Fenced, StoreError: as `tick`.
        """
        deadline_s = time.monotonic() + timeout_s
        while True:
            self.tick(self._context.clock())
            if self._publishing is None and not self._sealed:
                return True
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                return False
            if self._publishing is not None:
                wait([self._publishing.done], left_s)

    def discard(self) -> None:
        """Drop everything that is not published; the writer does nothing more until it is recovered."""
        if self._publishing is not None:
            self._publishing.cancel()
        dropped = [*self._sealed, *([self._filling] if self._filling else [])]
        self._filling, self._sealed, self._publishing = None, [], None
        self._active = False
        for batch in dropped:
            for file in batch.files.values():
                file.drop()

    def _add(self, records: RecordBatch) -> None:
        if self._filling is None:
            self._filling = FileBatch(self._end, self._context.clock(), self._new_file)
        batch, rolling = self._filling, self._context.rolling
        batch.add(records)
        if (
            batch.n_records >= rolling.batch_size
            or len(batch.files) >= rolling.max_open_files
            or batch.largest_bytes() >= rolling.max_bytes
        ):
            self._seal()

    def _new_file(self, day: int | None) -> TemporaryFile:
        what = "dead" if day is None else f"day={day}"
        path = self._names.temporary(self._end, what)
        context = self._context
        return TemporaryFile(context.store, path, context.rolling, context.pool, context.budget, is_dead=day is None)

    def _seal(self) -> None:
        """End the batch: its files are closed, to be published with the next publication."""
        batch, self._filling = self._filling, None
        if batch is None:
            return
        self._end = batch.next
        self._sealed.append(batch)
        for file in batch.files.values():
            file.close()

    def _is_old(self, now_s: float) -> bool:
        batch = self._filling
        if batch is None:
            return False
        batch.opened_s = min(batch.opened_s, now_s)  # a clock that was set back must not hold a batch for hours
        return now_s - batch.opened_s >= self._context.rolling.interval_s

    def _relieve(self) -> None:
        """Write out what is gathered when the budget is spent."""
        if self._filling is not None and self._context.budget.is_spent:
            for file in self._filling.files.values():
                file.write_out()

    def _publish(self, now_s: float) -> None:
        batches, self._sealed = self._sealed, []
        clears_up = self.published.n_publications % CLEAR_UP_EVERY == CLEAR_UP_EVERY - 1
        pool, confirm = self._context.pool, self._context.confirm
        self._publishing = Publication(
            self._log, self._names, batches, now_s, pool, clears_up=clears_up, confirm=confirm
        )

    def _collect(self) -> None:
        """Take the results of the publication and of the files that are being written."""
        if self._failure is None:
            self._failure = self._error()
            if self._failure is not None:
                self.discard()
        if self._failure is not None:
            raise self._failure
        publishing = self._publishing
        if publishing is not None and publishing.done.done():
            record = publishing.done.result()
            self._publishing = None
            self.next_offset = record.next
            self.published.add(record, publishing.elapsed_s)

    def _error(self) -> BaseException | None:
        """The first error that something in the background has met."""
        batches = [*self._sealed, *([self._filling] if self._filling else [])]
        futures: list[Future[Any]] = [file.closed for batch in batches for file in batch.files.values()]
        if self._publishing is not None:
            futures.append(self._publishing.done)
        for future in futures:
            if future.done() and (error := future.exception()) is not None:
                return error
        return None
