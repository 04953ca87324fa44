"""One publication: the files of some batches become part of the store, all of them or none.

In: batches whose files are being closed. Out: a commit record and the files under their final names, or an error.
It runs in the pool, when the last file is closed; no task waits for another one.
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Lock

from loadgen.consume.batch import FileBatch
from loadgen.consume.commits import CommitLog, CommitRecord, Rename, TopicIdentity
from loadgen.consume.temporary_file import TemporaryFile
from loadgen.errors import StoreError
from loadgen.store.layout import DEAD, BatchName, Suffix, day_folder

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
